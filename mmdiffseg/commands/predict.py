"""Segment pictures, folders or a video.

mmdiffseg predict nuclei pictures/ --out results

Writes labels, masks and a panel of every picture. What has been written before is left out, so that
a stopped run goes on where it was; a picture that cannot be segmented is named at the end. Several
processes share the pictures: torchrun --nproc-per-node 4 -m mmdiffseg.cli predict ...
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmdiffseg.commands.model_option import add_model, load_model, tell

if TYPE_CHECKING:
    from mmdiffseg.apis.pictures import Source

#: tells what the results in a folder were made with
RECORD = 'prediction.json'
SETTINGS = ('model', 'checkpoint', 'precision', 'steps', 'generations', 'seed', 'text', 'example')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model(parser)
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='file, folder, pattern or video')
    parser.add_argument('--out', type=Path, required=True, help='folder of the results')
    parser.add_argument('--steps', type=int, help='denoiser calls of a chain')
    parser.add_argument('--generations', type=int, help='chains of each picture')
    parser.add_argument('--seed', type=int, help='seed of the noise')
    parser.add_argument('--batch-size', type=int, default=1, help='pictures of one size at once')
    parser.add_argument('--text', nargs='+', metavar='SENTENCE', help='for Ref-Diff: what to find')
    parser.add_argument(
        '--example',
        nargs=2,
        action='append',
        metavar=('PICTURE', 'MASK'),
        help='for Ref LDM-Seg: what to find; repeat it for several',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace earlier results')
    parser.add_argument('--json', action='store_true', help='print JSON')


def run(args: argparse.Namespace) -> None:
    """Segment what has no result yet.

    Raises:
        SystemExit: With code 1, if a picture could not be segmented.
    """
    from mmdiffseg.apis.result import main_files

    rank, world = (int(os.environ.get(name, n)) for name, n in (('RANK', 0), ('WORLD_SIZE', 1)))
    sources = _sources(args.images, args.out)
    record = _record(args)
    model = load_model(args)
    skipped, failed, written = 0, {}, 0

    def left() -> Iterator['Source']:
        nonlocal skipped
        for number, source in enumerate(sources):
            if number % world != rank:
                continue
            files = main_files(args.out, source.name).values()
            if not args.overwrite and any(file.exists() for file in files):
                skipped += 1
            else:
                yield source

    results = model.iterate(
        left(),
        steps=args.steps,
        generations=args.generations,
        seed=args.seed,
        batch_size=args.batch_size,
        text=args.text,
        examples=args.example,
        progress=None if rank == 0 else False,
        on_error=lambda name, error: failed.update({name: str(error)}),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / RECORD).write_text(record, encoding='utf-8')
    for result in results:
        result.save(args.out, overwrite=args.overwrite)
        written += 1
    facts: dict[str, Any] = dict(out=str(args.out), written=written, skipped=skipped)
    facts['failed'] = failed if args.json else len(failed)
    tell(facts, as_json=args.json)
    for error in failed.values():
        print(f'no result: {error}', file=sys.stderr)
    if failed:
        sys.exit(1)


def _sources(images: Sequence[str], out: Path) -> 'Sequence[Source] | Iterator[Source]':
    """The pictures; those of a video come one by one."""
    from mmdiffseg.apis.pictures import VIDEO_SUFFIXES, find_sources

    for image in map(Path, images):
        if image.is_dir() and out.resolve().is_relative_to(image.resolve()):
            raise ValueError(
                f'the results would lie in {image}, among the pictures: choose another --out'
            )
    found = find_sources(images)
    if any(Path(image).suffix.lower() in VIDEO_SUFFIXES for image in images):
        return found
    found, names = list(found), {}
    for source in found:
        stem = str(Path(source.name).with_suffix(''))
        if stem in names:
            raise ValueError(
                f'{names[stem]} and {source.path} would share the result {stem}: rename one of '
                'them, or write it to another --out'
            )
        names[stem] = source.path
    return found


def _record(args: argparse.Namespace) -> str:
    """Check that the folder holds no results of another model or of other settings.

    Returns:
        What to keep about this run, as JSON.
    """
    file = args.out / RECORD
    now = {name: getattr(args, name) for name in SETTINGS}
    if file.exists() and not args.overwrite:
        try:
            before = dict(json.loads(file.read_text(encoding='utf-8')))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f'{file} is damaged: choose another --out, or give --overwrite ({error})'
            ) from error
        for name, value in now.items():
            if before.get(name) != value:
                raise FileExistsError(
                    f'{args.out} holds results with {name} {before.get(name)} instead of {value}: '
                    'choose another --out, or give --overwrite'
                )
    return json.dumps(now, indent=1, ensure_ascii=False)
