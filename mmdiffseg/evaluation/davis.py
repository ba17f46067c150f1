"""The two scores of DAVIS, of one object in one frame, with the constants of its toolkit."""

import math

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.evaluation.binary_masks import iou
from mmdiffseg.evaluation.boundaries import boundary_f1

TOLERANCE = 0.008  # of the picture's diagonal


def region_similarity(pred: NDArray, gt: NDArray, *, valid: NDArray | None = None) -> float:
    """IoU of the object, DAVIS' J; 1 if the object is absent from both masks.

    Args:
        pred: Predicted mask (H, W) of bools or of 0 and 1.
        gt: True mask (H, W).
        valid: Pixels (H, W) that count; all by default.

    Returns:
        The score in [0, 1].
    """
    valid = np.ones_like(pred, bool) if valid is None else valid
    return iou(pred[valid], gt[valid], empty=1.0)


def contour_accuracy(pred: NDArray, gt: NDArray, *, valid: NDArray | None = None) -> float:
    """F1 of the outline, DAVIS' F; 1 if neither mask has one, 0 if one of them has none.

    Outlines match within 0.8 % of the picture's diagonal, rounded up.

    Args:
        pred: Predicted mask (H, W) of bools or of 0 and 1.
        gt: True mask (H, W).
        valid: Pixels (H, W) that count; all by default. The others become background, as in the
            toolkit, so that the border of what counts is an outline.

    Returns:
        The score in [0, 1].
    """
    if valid is not None:
        pred, gt = pred & valid, gt & valid
    radius = math.ceil(TOLERANCE * math.hypot(*gt.shape))
    return boundary_f1(pred, gt, radii=(radius,))
