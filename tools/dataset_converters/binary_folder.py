"""What the converters to a folder of images and binary masks share.

They write::

    images/{train,test}/<name>.png   RGB
    labels/{train,test}/<name>.png   0 and 1
    minitrain.txt, minival.txt       the training names in two parts: every fifth is held out

The split of the training images is ours. The papers have none: they chose on the test images.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

HELD_OUT_EVERY = 5


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `out` if all goes well.

    Raises:
        SystemExit: `out` exists.
    """
    if out.exists():
        sys.exit(f'{out} exists: remove it, or choose another --out')
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'{out.name}-') as folder:
        root = Path(folder) / out.name
        root.mkdir()
        yield root
        root.rename(out)


def write_pair(root: Path, split: str, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    """Write an RGB image, (H, W, 3), and its mask, (H, W) of 0 and 1, both uint8."""
    for folder, pixels in (('images', image[..., ::-1]), ('labels', mask)):
        path = root / folder / split / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), pixels):
            raise OSError(f'cannot write {path}')


def write_held_out(root: Path, names: list[str]) -> None:
    """Write the two parts of the training names."""
    held_out = names[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    for part, members in (
        ('minitrain', [name for name in names if name not in held_out]),
        ('minival', held_out),
    ):
        (root / f'{part}.txt').write_text(''.join(f'{name}\n' for name in members))


def show_progress(split: str, count: int, total: int) -> None:
    """Say how far a split is."""
    end = '\n' if count == total else ''
    print(f'\r{split}: {count}/{total} images', end=end, file=sys.stderr, flush=True)
