"""Overlap of the binary masks of episodes, pooled by class."""

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]  # (2, 2): intersection and union of background and foreground, in pixels


def binary_maps(sample: dict) -> tuple[NDArray, NDArray]:
    """Predicted and true mask (H, W) of a sample as a metric receives it.

    Raises:
        ValueError: They differ in size.
    """
    # (1, H, W) -> (H, W)
    pred, gt = (sample[key]['data'][0].cpu().numpy() for key in ('pred_sem_seg', 'gt_sem_seg'))
    if pred.shape != gt.shape:
        raise ValueError(
            f'{sample["img_path"]}: the prediction is {pred.shape[1]}x{pred.shape[0]} and the mask '
            f'{gt.shape[1]}x{gt.shape[0]}: load the annotations of the query after its resize.'
        )
    return pred, gt


def binary_counts(pred: NDArray, gt: NDArray, *, ignore_index: int = 255) -> Counts:
    """Intersection and union of background and foreground.

    Args:
        pred: Predicted mask (H, W) of 0 and 1.
        gt: True mask (H, W) of 0, 1 and ``ignore_index``.
        ignore_index: True label of the pixels that do not count.

    Returns:
        Pixels (2, 2): [intersection, union] of [background, foreground].
    """
    valid = gt != ignore_index
    pred, gt = pred[valid] == 1, gt[valid] == 1
    hits, predicted, true = (int(m.sum()) for m in (pred & gt, pred, gt))
    rejections = gt.size - predicted - true + hits
    return np.array([[rejections, hits], [gt.size - hits, predicted + true - hits]])


def class_iou(counts: Iterable[tuple[int, Counts]]) -> dict[int, float]:
    """IoU in [0, 1] of the foreground of every class, pooled over its episodes.

    Args:
        counts: Class and counts (2, 2) of each episode.
    """
    pooled = {}
    for class_id, count in counts:
        pooled[class_id] = pooled.get(class_id, 0) + count
    return {c: float(i[1] / max(u[1], 1)) for c, (i, u) in sorted(pooled.items())}


def mean_iou(ious: dict[int, float], classes: Collection[int]) -> float:
    """Mean IoU over ``classes``; one without an episode counts as 0."""
    return sum(ious.get(class_id, 0.0) for class_id in classes) / len(classes)


def fb_iou(counts: Iterable[Counts]) -> float:
    """Mean IoU in [0, 1] of background and foreground, pooled over all episodes and classes."""
    inter, union = sum(counts)
    return float((inter / np.maximum(union, 1)).mean())
