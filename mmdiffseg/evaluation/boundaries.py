"""The boundary F-measure of SegDiff's released code (its spelling: BoundF)."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


def boundary_map(mask: NDArray, valid: NDArray | None = None) -> NDArray:
    """Pixels that differ from their neighbour to the right, below, or below to the right.

    The border of the picture is no boundary, and neither is that of the pixels that do not count:
    a mask is taken to go on there.

    Args:
        mask: Mask (H, W) of bools or of 0 and 1.
        valid: Pixels (H, W) that count; all by default.

    Returns:
        Boundary (H, W), bool.
    """
    mask = np.asarray(mask, bool)
    valid = np.ones_like(mask) if valid is None else valid
    boundary = np.zeros_like(mask)
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
    ):
        boundary[here] |= (mask[here] != mask[there]) & valid[here] & valid[there]
    return boundary


def boundary_matches(pred: NDArray, gt: NDArray, radius: int) -> tuple[int, int, int, int]:
    """How many pixels of each boundary lie near the other.

    Args:
        pred: Predicted boundary (H, W), bool.
        gt: True boundary (H, W), bool.
        radius: Largest Euclidean distance that counts as near, in pixels.

    Returns:
        Predicted pixels near a true one, predicted pixels, true pixels near a predicted one, true
        pixels.
    """
    steps = np.arange(-radius, radius + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)
    near_pred = cv2.dilate(pred.astype(np.uint8), disk).astype(bool)
    near_gt = cv2.dilate(gt.astype(np.uint8), disk).astype(bool)
    counts = (pred & near_gt).sum(), pred.sum(), (gt & near_pred).sum(), gt.sum()
    return tuple(map(int, counts))


def boundary_f1(
    pred: NDArray,
    gt: NDArray,
    *,
    valid: NDArray | None = None,
    radii: Sequence[int] = (1, 2, 3, 4, 5),
) -> float:
    """Mean over some radii of the F1 score of the boundary.

    A boundary without pixels has precision (or recall) 1, so two masks without any score 1.

    Args:
        pred: Predicted mask (H, W).
        gt: True mask (H, W).
        valid: Pixels (H, W) that count; all by default.
        radii: Distances within which a boundary pixel is found, in pixels.

    Returns:
        The score in [0, 1].
    """
    pred, gt = boundary_map(pred, valid), boundary_map(gt, valid)
    return float(np.mean([_f1(*boundary_matches(pred, gt, radius)) for radius in radii]))


def _f1(pred_found: int, pred_count: int, gt_found: int, gt_count: int) -> float:
    precision = pred_found / pred_count if pred_count else 1.0
    recall = gt_found / gt_count if gt_count else 1.0
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0
