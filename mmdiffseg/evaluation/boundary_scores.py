"""How right a mask is at its outline: Boundary IoU and mean boundary accuracy, in [0, 1]."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mmdiffseg.evaluation.binary_masks import iou

#: number of radii over which mBA is the mean
RADII = 5


def boundary_band(mask: NDArray, *, share: float = 0.02) -> NDArray[np.bool_]:
    """Pixels of a mask within some distance of its outline (Cheng et al., 2021).

    The distance is ``share`` of the picture's diagonal, at least one pixel, in steps to any of the
    eight neighbours. The border of the picture is an outline.

    Args:
        mask: Mask (H, W) of bools or of 0 and 1.
        share: Width of the band in units of the diagonal.
    """
    mask = np.ascontiguousarray(mask, np.uint8)
    h, w = mask.shape
    distance = max(1, int(round(share * np.hypot(h, w))))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)
    return (mask - inner[1:-1, 1:-1]).astype(bool)


def boundary_iou(
    pred: NDArray, gt: NDArray, *, valid: NDArray | None = None, share: float = 0.02
) -> float:
    """IoU of the bands inside the outlines of two masks; 1 if both masks are empty.

    Args:
        pred: Predicted mask (H, W) of bools or of 0 and 1.
        gt: True mask (H, W).
        valid: Pixels (H, W) that count; all by default. The others belong to neither mask.
        share: See :func:`boundary_band`.
    """
    if valid is not None:
        pred, gt = pred.astype(bool) & valid, gt.astype(bool) & valid
    return iou(boundary_band(pred, share=share), boundary_band(gt, share=share), empty=1.0)


def boundary_radii(height: int, width: int) -> list[int]:
    """The five radii of mBA in pixels, from 1 to about 1/300 of the picture's height plus width.

    r_i = 1 + int((R - 1) / 5 i) with R = (H + W) / 300, so that all of them are 1 in pictures of
    less than 675 pixels of height plus width.
    """
    largest = (width + height) / 300
    return [1 + int((largest - 1) / RADII * i) for i in range(RADII)]


def boundary_accuracy(
    pred: NDArray, gt: NDArray, *, valid: NDArray | None = None, classes: Sequence[int] = (1,)
) -> float | None:
    """Mean boundary accuracy, mBA (Cheng et al., CascadePSP, 2020).

    The share of pixels with the right label around the true outlines, mean over
    :func:`boundary_radii`. A mask that is all object or all background has about one half.

    Args:
        pred: Predicted labels (H, W).
        gt: True labels (H, W).
        valid: Pixels (H, W) that count; all by default.
        classes: Labels whose outlines count, together.

    Returns:
        The score; None if no pixel that counts is near an outline.
    """
    valid = np.ones(gt.shape, bool) if valid is None else valid
    right = (pred == gt) & valid
    shares = []
    for radius in boundary_radii(*gt.shape):
        near = np.zeros(gt.shape, bool)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
        for label in classes:
            mask = (gt == label).astype(np.uint8)
            near |= cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel) > 0
        near &= valid
        if not near.any():
            return None
        shares.append(np.count_nonzero(right & near) / np.count_nonzero(near))
    return float(np.mean(shares))
