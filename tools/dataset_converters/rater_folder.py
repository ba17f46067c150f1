"""What the converters to images with several raters share.

They write::

    images/{train,val,...}/<name>.png
    rater1/{train,val,...}/<name>.png   0 and 1, 255 where pixels do not count; rater2, ... likewise
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_case(
    root: Path, split: str, name: str, image: np.ndarray, masks: Sequence[np.ndarray]
) -> None:
    """Write an image, (H, W) or RGB (H, W, 3) uint8, and its masks as :func:`write_masks` does."""
    write_masks(root, split, name, masks, size=image.shape[:2])
    write_png(root / 'images' / split / f'{name}.png', image)


def write_masks(
    root: Path, split: str, name: str, masks: Sequence[np.ndarray], *, size: tuple[int, int]
) -> None:
    """Write the mask (H, W) uint8 of every rater.

    Raises:
        SystemExit: A mask has not the size (H, W) of the image, or the name is no file name.
    """
    if not name or Path(name).name != name:
        sys.exit(f'{name!r} cannot be the name of a file')
    for number, mask in enumerate(masks, start=1):
        if mask.shape != size:
            (h, w), (height, width) = mask.shape, size
            sys.exit(f'{name}: the mask of rater {number} is {w}x{h}, the image {width}x{height}')
        write_png(root / f'rater{number}' / split / f'{name}.png', mask)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a picture, (H, W) or RGB (H, W, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels):
        raise OSError(f'cannot write {path}')
