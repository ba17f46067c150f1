"""Pictures of what a guarantee admits."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

INNER = (46, 184, 92)
OUTER = (230, 126, 34)
#: of the levels of an admission map, from the tightest
LEVELS = ((52, 132, 219), (155, 89, 182), (230, 57, 70))


def outline_overlay(
    image: NDArray, masks: Mapping[str, NDArray], colours: Mapping[str, Sequence[int]]
) -> NDArray[np.uint8]:
    """Draw the outlines of masks on a photograph.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: Mask (H, W) of each name, bool.
        colours: RGB colour of each name.

    Returns:
        The picture, of the same size.
    """
    picture = image.copy()
    width = max(1, round(max(image.shape[:2]) / 300))
    for name, mask in masks.items():
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, tuple(map(int, colours[name])), width)
    return picture


def admission_map(image: NDArray, masks: Sequence[NDArray]) -> NDArray[np.uint8]:
    """Colour what the outer masks of rising guarantees admit, each beyond the one before.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: Up to three masks (H, W), bool, from the least promise, which admits least.

    Returns:
        The picture, grey where nothing is admitted.
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True, dtype=np.float32), 3, axis=2)
    taken = np.zeros(image.shape[:2], bool)
    for mask, colour in zip(masks, LEVELS, strict=False):
        new = mask & ~taken
        grey[new] = 0.45 * grey[new] + 0.55 * np.float32(colour)
        taken |= mask
    return grey.astype(np.uint8)
