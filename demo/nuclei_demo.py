"""Segment real photographs with the shipped model of nuclei.

    python demo/nuclei_demo.py

The photographs are two that scikit-image carries: stained tissue full of nuclei, and a single cell
without a stain. Downloads nothing.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import mmdiffseg
from mmdiffseg.engine import command_line

#: photographs inside of scikit-image, and how much smaller they are looked at
PHOTOGRAPHS = {'immunohistochemistry': 1, 'cell': 2}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='nuclei', help='name, folder or hub id (%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo/nuclei.png'))
    parser.add_argument('--steps', type=int, help='denoiser calls; by default those of the model')
    parser.add_argument('--generations', type=int, help='masks; by default those of the model')
    return parser.parse_args()


def photograph(name: str, shrink: int) -> np.ndarray:
    """A photograph (H, W, 3) uint8 RGB, grey ones in three equal channels."""
    picture = Image.fromarray(getattr(skimage.data, name)()).convert('RGB')
    return np.asarray(picture.reduce(shrink))


def main() -> None:
    """Load, segment, draw."""
    args = parse_args()
    start = time.perf_counter()
    model = mmdiffseg.load(args.model)
    print(f'{args.model} loaded in {time.perf_counter() - start:.1f} s')
    pages = []
    for name, shrink in PHOTOGRAPHS.items():
        picture, begin = photograph(name, shrink), time.perf_counter()
        result = model(picture, steps=args.steps, generations=args.generations)
        share, seconds = (result.labels == 1).mean(), time.perf_counter() - begin
        height, width = result.labels.shape
        print(f'{name}, {width}x{height}: {share:.1%} {result.classes[1]}, {seconds:.1f} s')
        pages.append(result.panel())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(pages)).save(args.out)
    print(f'Picture: {args.out}   ({time.perf_counter() - start:.0f} s)')


if __name__ == '__main__':
    command_line.run_script(main)
