"""How much the outline of an object flickers in a video, beside its true motion."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

SECTORS = 16
#: pixels; outlines further apart than this are merely apart
FARTHEST = 40.0


def outline_offsets(pred: NDArray, gt: NDArray) -> NDArray[np.float64] | None:
    """How far the predicted outline lies outside the true one, by the direction from its middle.

    For each of the true object's pixels that touch the outside, at a side or a corner, the distance
    to the nearest pixel outside the prediction where the pixel is predicted (1 where the outlines
    agree), else minus that to the nearest predicted pixel. Its mean in each of 16 equal sectors
    around the true centroid.

    Args:
        pred: Predicted mask (H, W) of bools or of 0 and 1.
        gt: True mask (H, W).

    Returns:
        Offsets (16,) in pixels, at most 40 either way, NaN where the true outline has no pixel;
        None if one of the masks is empty.
    """
    pred, gt = np.ascontiguousarray(pred, np.uint8), np.ascontiguousarray(gt, np.uint8)
    if not pred.any() or not gt.any():
        return None
    inside = cv2.distanceTransform(pred, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - pred, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    signed = np.clip((inside - outside).astype(np.float64), -FARTHEST, FARTHEST)
    ys, xs = np.nonzero(gt - cv2.erode(gt, np.ones((3, 3), np.uint8)))
    if not len(ys):  # an object that fills the picture has no outline
        return None
    all_ys, all_xs = gt.nonzero()
    angles = np.arctan2(ys - all_ys.mean(), xs - all_xs.mean())  # in [-pi, pi]
    sectors = np.minimum((angles + np.pi) / (2 * np.pi) * SECTORS, SECTORS - 1).astype(int)
    counts = np.bincount(sectors, minlength=SECTORS)
    sums = np.bincount(sectors, weights=signed[ys, xs], minlength=SECTORS)
    return np.divide(sums, counts, out=np.full(SECTORS, np.nan), where=counts > 0)


def offset_change(before: NDArray | None, after: NDArray | None) -> float | None:
    """Mean absolute change of the offsets (16,) from one frame to the other, in pixels.

    None where a frame has none, or where they have no sector in common.
    """
    if before is None or after is None:
        return None
    change = np.abs(after - before)
    return None if np.isnan(change).all() else float(np.nanmean(change))


def boundary_flicker(preds: Sequence[NDArray], gts: Sequence[NDArray]) -> float | None:
    """Boundary flicker, BF, of one object in consecutive frames, in pixels.

    0 for an outline that is right, or wrong by the same distance in every frame, however the
    object moves. A mask that never changes has little flicker, too: report BF beside DAVIS' J.

    Args:
        preds: Predicted masks (H, W) of bools or of 0 and 1, frame by frame.
        gts: True masks (H, W).

    Returns:
        Mean over the pairs of consecutive frames that both have a predicted and a true object;
        None if there is no such pair.
    """
    offsets = [outline_offsets(pred, gt) for pred, gt in zip(preds, gts, strict=True)]
    changes = [
        change
        for pair in zip(offsets, offsets[1:], strict=False)
        if (change := offset_change(*pair)) is not None
    ]
    return float(np.mean(changes)) if changes else None


def excess_change(preds: Sequence[NDArray], gts: Sequence[NDArray]) -> float | None:
    """Change of a mask from frame to frame beyond that of the truth, in units of the true area.

    Beside :func:`boundary_flicker` a side remark: it overlooks flicker of fast objects, and a mask
    that stays behind or stands still is below 0.

    Args:
        preds: Predicted masks (H, W) of bools or of 0 and 1, frame by frame.
        gts: True masks (H, W).

    Returns:
        Mean over the pairs of consecutive frames, in units of the mean true area of the two; None
        if there is no true object.
    """
    preds, gts = (np.asarray(masks, bool) for masks in (preds, gts))
    changed = [np.count_nonzero(m[1:] ^ m[:-1], axis=(1, 2)) for m in (preds, gts)]
    areas = np.count_nonzero(gts, axis=(1, 2))
    areas = (areas[1:] + areas[:-1]) / 2
    there = areas > 0
    return float(np.mean((changed[0] - changed[1])[there] / areas[there])) if there.any() else None
