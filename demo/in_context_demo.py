"""Find in pictures what a few pictures with masks show.

    python demo/in_context_demo.py CONFIG CHECKPOINT --queries c.jpg d.jpg \
        --concept cat a.jpg a.png b.jpg b.png --concept dog e.jpg e.png
    python demo/in_context_demo.py CONFIG CHECKPOINT --video frames/ --first-mask 00000.png

A concept is a name and any number of pictures, each followed by its mask, which is not 0 where the
concept is. For a video, the labels of the first frame are followed through the others. Writes the
labels as PNG and a picture of them for every query.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image

import mmdiffseg  # noqa: F401  before what it mends
from mmdiffseg.apis.in_context_inferencer import InContextInferencer
from mmdiffseg.visualization import label_overlay, panel

COLOURS = [(230, 57, 70), (69, 123, 157), (244, 162, 97), (42, 157, 143), (131, 56, 236)]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint', nargs='?', help='without one the model knows nothing')
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
    return args


def answers(args: argparse.Namespace) -> Iterable:
    """Yield the path of each query and its sample."""
    inferencer = InContextInferencer(args.config, args.checkpoint, device=args.device)
    if args.video:
        yield from inferencer.video(args.video, args.first_mask)
        return
    concepts = {name: inferencer.encode(rest[::2], rest[1::2]) for name, *rest in args.concept}
    for path in args.queries:
        yield path, *inferencer([path], concepts)


def main() -> None:
    """Find, draw, and tell."""
    args = parse_args()
    (args.out / 'labels').mkdir(parents=True, exist_ok=True)
    for path, sample in answers(args):
        labels = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)  # (H, W)
        Image.fromarray(labels).save(args.out / 'labels' / f'{path.stem}.png')
        image = mmcv.imread(path, channel_order='rgb')
        colours = [COLOURS[number % len(COLOURS)] for number in range(labels.max() + 1)]
        found = label_overlay(image, np.where(labels, labels - 1, 255), colours)
        page = args.out / f'{path.stem}.png'
        Image.fromarray(panel({'query': image, 'found': found})).save(page)
        print(f'{path}: {(labels > 0).mean():.1%} of the picture, see {page}')


if __name__ == '__main__':
    main()
