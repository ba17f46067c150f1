"""Find in pictures what a few pictures with masks show.

    python demo/in_context_demo.py CONFIG CHECKPOINT --queries c.jpg d.jpg \
        --concept cat a.jpg a.png b.jpg b.png --concept dog e.jpg e.png
    python demo/in_context_demo.py CONFIG CHECKPOINT --video frames/ --first-mask 00000.png

A concept is a name and any number of pictures, each followed by its mask, which is 0 off the
concept. In a video, the labels of the first frame are found in all others. Every query gets its
labels in OUT/labels and a page with prompts, answer and legend in OUT/pages.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import mmcv
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mmdiffseg  # noqa: F401  before what it mends
from mmdiffseg.apis.in_context_inferencer import InContextInferencer, read_mask, video_frames
from mmdiffseg.engine import command_line
from mmdiffseg.visualization import label_overlay, panel

#: the strong colours first, then their pale twins
COLOURS = (255 * np.array(matplotlib.colormaps['tab20'].colors)).astype(int)
COLOURS = [*COLOURS[::2].tolist(), *COLOURS[1::2].tolist()]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--queries', nargs='+', type=Path, default=[], metavar='PICTURE')
    parser.add_argument(
        '--concept',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME PICTURE MASK', '...'),
        help='repeat it for several',
    )
    parser.add_argument('--video', type=Path, metavar='FOLDER')
    parser.add_argument('--first-mask', type=Path, metavar='PNG')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/in_context_demo'))
    parser.add_argument('--overwrite', action='store_true', help='replace earlier answers in OUT')
    parser.add_argument('--device', help='such as cuda:0 or cpu')
    args = parser.parse_args()
    if bool(args.queries) == bool(args.video):
        parser.error('give either --queries or --video')
    if args.queries and not args.concept:
        parser.error('--queries needs a --concept to look for')
    if args.video and not args.first_mask:
        parser.error('--video needs --first-mask, the labels of its first frame')
    for concept in args.concept:
        if len(concept) < 3 or len(concept) % 2 == 0:
            parser.error(f'--concept {" ".join(concept)}: a name, then pictures with their masks')
    for name, count in Counter(name for name, *_ in args.concept).items():
        if count > 1:
            parser.error(f'--concept {name} is given {count} times: put all its prompts behind one')
    return args


def check_outputs(
    queries: Sequence[Path], inputs: Sequence[Path], out: Path, *, overwrite: bool
) -> None:
    """Check that every answer has a name of its own and replaces nothing.

    Args:
        queries: Pictures to answer.
        inputs: All files that are read, which no answer may replace.
        out: Folder of the answers.
        overwrite: Allow answers to replace earlier ones.

    Raises:
        FileNotFoundError: There is no such input.
        ValueError: Two answers share a name, or a file is in the way.
    """
    for path in inputs:
        if not path.is_file():
            raise FileNotFoundError(f'there is no file {path}')
    stem, count = Counter(path.stem for path in queries).most_common(1)[0]
    if count > 1:
        raise ValueError(f'{count} pictures are called {stem}: rename them, or ask one by one')
    known = {path.resolve() for path in inputs}
    for path in queries:
        for target in (out / 'labels' / f'{path.stem}.png', out / 'pages' / f'{path.stem}.png'):
            if target.resolve() in known:
                raise ValueError(f'{target} is an input: choose another --out')
            if target.exists() and not overwrite:
                raise ValueError(f'{target} exists: choose another --out, or add --overwrite')


def draw(path: Path, labels: NDArray, prompts: dict[int, tuple[str, Path, NDArray]]) -> NDArray:
    """Draw one answer: the first prompt of each concept, the query, and what was found.

    Args:
        path: The query.
        labels: The answer (H, W).
        prompts: For each label the name of the concept, its first prompt and the mask (H, W).

    Returns:
        The page, uint8 RGB.
    """
    query = mmcv.imread(path, channel_order='rgb')
    height, width = labels.shape
    colours = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(prompts)}
    pictures = {}
    for number, (name, picture, mask) in prompts.items():
        image = mmcv.imread(picture, channel_order='rgb')
        shown = label_overlay(image, np.where(mask, 0, 255), [colours[number]])
        shown = mmcv.imrescale(shown, min(height / shown.shape[0], width / shown.shape[1]))
        pictures[f'prompt: {name}'] = mmcv.impad(shown, shape=(height, width), pad_val=255)
    pictures['query'] = query
    index = np.searchsorted([0, *prompts], labels) - 1  # -1 off all concepts
    pictures['found'] = label_overlay(query, index, list(colours.values()), ignore_index=-1)
    legend = {name: colours[number] for number, (name, *_) in prompts.items()}
    return panel(pictures, columns=4, legend=legend)


def answer(args: argparse.Namespace) -> None:
    """Find, draw, and tell."""
    if args.video:
        first, *queries = video_frames(args.video)
        labels = read_mask(args.first_mask)
        prompts = {n: (f'label {n}', first, labels == n) for n in np.unique(labels).tolist() if n}
        inputs = [first, args.first_mask]
    else:
        queries = args.queries
        prompts = {
            number: (name, Path(files[0]), read_mask(files[1]) != 0)
            for number, (name, *files) in enumerate(args.concept, start=1)
        }
        inputs = [Path(file) for _, *files in args.concept for file in files]
    check_outputs(queries, [*queries, *inputs], args.out, overwrite=args.overwrite)

    inferencer = InContextInferencer(args.config, args.checkpoint, device=args.device)
    if args.video:
        answers = inferencer.video(args.video, args.first_mask)
    else:
        concepts = {
            name: inferencer.encode(files[::2], files[1::2]) for name, *files in args.concept
        }
        answers = ((path, *inferencer([path], concepts)) for path in queries)
    for folder in ('labels', 'pages'):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    for path, sample in answers:
        labels = sample.pred_sem_seg.data[0].cpu().numpy()  # (H, W)
        labels = labels.astype(np.min_scalar_type(max(prompts)))
        Image.fromarray(labels).save(args.out / 'labels' / f'{path.stem}.png')
        page = args.out / 'pages' / f'{path.stem}.png'
        Image.fromarray(draw(path, labels, prompts)).save(page)
        print(f'{path}: {(labels > 0).mean():.1%} of the picture, see {page}')


def main() -> None:
    """Answer, or say in one sentence why not."""
    args = parse_args()
    try:
        answer(args)
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == '__main__':
    command_line.run_script(main)
