"""Masks and labels from files."""

import os
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def read_mask(mask: str | os.PathLike | NDArray) -> NDArray:
    """Read labels (H, W) of whole numbers from 0; a palette PNG gives its indices.

    Raises:
        ValueError: These are no labels but colours, fractions or negative numbers.
    """
    if not isinstance(mask, np.ndarray):
        with Image.open(mask) as image:
            if image.mode not in ('1', 'L', 'P', 'I', 'I;16'):
                raise ValueError(
                    f'{mask} is a picture of mode {image.mode}: a mask is a picture of one channel '
                    'of whole numbers, 0 for the background'
                )
            mask = np.array(image)
    if mask.ndim != 2 or mask.dtype.kind not in 'bui' or mask.min(initial=0) < 0:
        raise ValueError(
            f'a mask must be (H, W) of whole numbers from 0, got {mask.dtype} {mask.shape} from '
            f'{mask.min(initial=0)}'
        )
    return mask.astype(np.uint8) if mask.dtype == bool else mask


def resize_labels(labels: NDArray, size: Sequence[int]) -> NDArray:
    """Labels (H, W), uint8, uint16 or bool, at another size (h, w); each is that of one pixel."""
    pixels = labels.astype(np.uint8) if labels.dtype == bool else labels
    resized = cv2.resize(pixels, tuple(size)[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(labels.dtype)
