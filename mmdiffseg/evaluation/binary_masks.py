"""Scores of one binary mask against the true one, in [0, 1] and float64.

Masks are arrays of one shape, of bools or of 0 and 1, where 1 is the foreground. As a mask of any
shape will do, pixels that do not count are left out by indexing: ``iou(pred[valid], gt[valid])``.
"""

import cv2
import numpy as np
from numpy.typing import NDArray


def iou(pred: NDArray, gt: NDArray, *, empty: float = 0.0) -> float:
    """Intersection over union of the foreground.

    Args:
        pred: Predicted mask.
        gt: True mask.
        empty: The score if both are empty. SegDiff's code gives 0.
    """
    intersection, pred_area, gt_area = _areas(pred, gt)
    union = pred_area + gt_area - intersection
    return intersection / union if union else empty


def f1_score(pred: NDArray, gt: NDArray, *, empty: float = 0.0) -> float:
    """F1 (Dice) score of the foreground.

    Args:
        pred: Predicted mask.
        gt: True mask.
        empty: The score if both are empty. SegDiff's code gives 0.
    """
    intersection, pred_area, gt_area = _areas(pred, gt)
    return 2 * intersection / (pred_area + gt_area) if pred_area + gt_area else empty


def area_ratio(pred: NDArray, gt: NDArray) -> float:
    """Smaller area over larger area, wherever they lie: what SegDiff's code reports as WCov.

    1 if both masks are empty, where that code divides by zero.
    """
    _, pred_area, gt_area = _areas(pred, gt)
    larger = max(pred_area, gt_area)
    return min(pred_area, gt_area) / larger if larger else 1.0


def weighted_coverage(pred: NDArray, gt: NDArray) -> float:
    """Best IoU of each true region with a predicted one, weighted by the region's area.

    The textbook's weighted coverage. Regions are 8-connected. Without a true region it is 1 if
    nothing is predicted, else 0.

    Args:
        pred: Predicted mask (H, W).
        gt: True mask (H, W).
    """
    pred_count, pred_regions = cv2.connectedComponents(np.asarray(pred, np.uint8))
    gt_count, gt_regions = cv2.connectedComponents(np.asarray(gt, np.uint8))
    if gt_count == 1:  # background only
        return float(pred_count == 1)
    pairs = gt_regions.ravel().astype(np.int64) * pred_count + pred_regions.ravel()
    overlap = np.bincount(pairs, minlength=gt_count * pred_count).reshape(gt_count, pred_count)
    gt_areas = overlap.sum(axis=1)[1:, None]  # (G, 1)
    pred_areas = overlap.sum(axis=0)[None, 1:]  # (1, P)
    intersection = overlap[1:, 1:]  # (G, P)
    best = (intersection / (gt_areas + pred_areas - intersection)).max(axis=1, initial=0.0)
    return float((gt_areas[:, 0] * best).sum() / gt_areas.sum())


def _areas(pred: NDArray, gt: NDArray) -> tuple[int, int, int]:
    pred, gt = np.asarray(pred, bool), np.asarray(gt, bool)
    return int((pred & gt).sum()), int(pred.sum()), int(gt.sum())
