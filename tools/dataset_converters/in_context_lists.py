r"""List which pictures show which concept, from their label files.

python tools/dataset_converters/in_context_lists.py data/coco/annotations/train2014 \
    --out data/coco/metas/train
python tools/dataset_converters/in_context_lists.py data/davis16/Annotations/480p \
    --concept folder --only data/davis16/ImageSets/2016/val.txt --out data/davis16/metas/val

Writes OUT.json, the names of the pictures of every concept, and OUT.txt, the names of all pictures
looked at. A name is the path of a label file below LABELS, without suffix.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import mmcv
import numpy as np

from mmdiffseg.datasets.damaged_files import blame_damaged
from mmdiffseg.datasets.in_context.concepts import KINDS, concept_keys
from mmdiffseg.engine import command_line


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('labels', type=Path, help='folder of the label files')
    parser.add_argument('--out', type=Path, required=True, help='what to write, without suffix')
    parser.add_argument('--concept', choices=KINDS, default='class', help='kind of concept')
    parser.add_argument('--only', type=Path, help='a text file of names, or of folders, to list')
    parser.add_argument('--suffix', default='.png', help='suffix of the label files')
    parser.add_argument(
        '--min-area',
        type=command_line.positive,
        default=1,
        help='leave out what has fewer pixels in a picture',
    )
    parser.add_argument(
        '--jobs', type=command_line.positive, default=os.cpu_count(), help='processes'
    )
    return parser.parse_args()


def names_of(labels: Path, suffix: str, only: Path | None) -> Iterator[str]:
    """Names of the label files, sorted.

    Args:
        labels: Their folder.
        suffix: Their suffix.
        only: A text file of names or folders to keep.
    """
    kept = only and {line.split()[0] for line in only.read_text().splitlines() if line.strip()}
    for path in sorted(labels.rglob(f'*{suffix}')):
        name = path.relative_to(labels).with_suffix('')
        if kept is None or kept & {str(name), str(name.parent)}:
            yield str(name)


def keys_of(name: str, *, labels: Path, suffix: str, concept: str, min_area: int) -> list[str]:
    """Keys of the concepts in one label file."""
    path = str(labels / (name + suffix))
    try:
        pixels = mmcv.imread(path, flag='unchanged', backend='pillow')
    except Exception as error:
        blame_damaged(error, [path])
        raise
    return concept_keys(np.asarray(pixels), name, concept, min_area=min_area)


def in_processes(
    look: Callable[[str], list[str]], names: list[str], jobs: int
) -> Iterator[list[str]]:
    """Map names in some processes, or in this one."""
    if jobs == 1:
        yield from map(look, names)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(look, names, chunksize=64)


def main() -> None:
    """List."""
    args = parse_args()
    files = [args.out.with_suffix(suffix) for suffix in ('.json', '.txt')]
    for file in files:
        if file.exists():
            sys.exit(f'{file} exists: remove it, or choose another --out')
    names = list(names_of(args.labels, args.suffix, args.only))
    if not names:
        sys.exit(f'no {args.suffix} file to list below {args.labels}')
    look = partial(
        keys_of,
        labels=args.labels,
        suffix=args.suffix,
        concept=args.concept,
        min_area=args.min_area,
    )
    lists = {}
    for name, keys in zip(names, in_processes(look, names, args.jobs), strict=True):
        for key in keys:
            lists.setdefault(key, []).append(name)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    files[0].write_text(json.dumps(lists))
    files[1].write_text(''.join(f'{name}\n' for name in names))
    shown = len({name for of_key in lists.values() for name in of_key})
    print(f'{len(lists)} concepts in {shown} of {len(names)} pictures: {files[0]}')


if __name__ == '__main__':
    command_line.run_script(main)
