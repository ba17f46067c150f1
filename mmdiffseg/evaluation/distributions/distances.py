"""Distances between label maps, all pairs of two sets at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EMPTY = ('agrees', 'left_out')


def class_ious(a: NDArray, b: NDArray, *, classes: Sequence[int]) -> NDArray[np.float64]:
    """IoU of every class for every pair of maps.

    Args:
        a: Label maps (A, ...), integers.
        b: Label maps (B, ...), of the same size.
        classes: The C labels to compare.

    Returns:
        IoU in [0, 1], (A, B, C); NaN where neither map has the class.
    """
    inter, sums = _overlaps(a, b, classes)
    union = sums - inter
    return np.divide(inter, union, out=np.full(inter.shape, np.nan), where=union > 0)


def label_distances(
    a: NDArray, b: NDArray, *, classes: Sequence[int], empty: str = 'agrees'
) -> NDArray[np.float64]:
    """Distance 1 - mean IoU over the classes, for every pair of maps.

    Args:
        a: Label maps (A, ...), integers.
        b: Label maps (B, ...), of the same size.
        classes: The labels to compare: the foreground, as a rule.
        empty: What a class does that neither map has: ``agrees`` (IoU 1; CCDM, SSN), or
            ``left_out`` of the mean, with distance 0 if all are (Probabilistic U-Net).

    Returns:
        Distances in [0, 1], (A, B).
    """
    if empty not in EMPTY:
        raise ValueError(f'empty must be one of {EMPTY}, got {empty!r}')
    ious = class_ious(a, b, classes=classes)
    if empty == 'agrees':
        return 1 - np.nan_to_num(ious, nan=1.0).mean(axis=-1)
    present = ~np.isnan(ious)
    means = np.nansum(ious, axis=-1) / np.maximum(present.sum(axis=-1), 1)
    return np.where(present.any(axis=-1), 1 - means, 0.0)


def max_matching(
    raters: NDArray, samples: NDArray, *, classes: Sequence[int], weights: NDArray | None = None
) -> dict[str, float]:
    """Dice and IoU of every rater with the sample that fits best, averaged.

    It grows with the number of samples for any broad set of them: never report it alone. Each class
    is matched on its own; Dice of two empty masks is 1.

    Args:
        raters: Label maps (R, ...), integers.
        samples: Label maps (S, ...), of the same size.
        classes: The labels to compare.
        weights: Weights (R,) of the raters, of sum 1; None for equal ones.

    Returns:
        ``max_dice`` and ``best_iou`` in [0, 1].
    """
    inter, sums = _overlaps(raters, samples, classes)  # (R, S, C)
    union = sums - inter
    dice = np.divide(2 * inter, sums, out=np.ones(inter.shape), where=sums > 0)
    iou = np.divide(inter, union, out=np.ones(inter.shape), where=union > 0)
    # best sample (R, S, C) -> (R, C), then classes alike and raters by weight
    best = dict(max_dice=dice.max(axis=1), best_iou=iou.max(axis=1))
    return {
        name: float(np.average(score.mean(axis=1), weights=weights)) for name, score in best.items()
    }


def _overlaps(a: NDArray, b: NDArray, classes: Sequence[int]) -> tuple[NDArray, NDArray]:
    """Pixels of each class in both maps of a pair, and in the two together: (A, B, C) each."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    # a product of matrices counts; float32 counts exactly up to 2^24
    dtype = np.float32 if a.shape[1] < 2**24 else np.float64
    inter, sums = [], []
    for label in classes:
        of_a, of_b = (a == label).astype(dtype), (b == label).astype(dtype)
        inter.append((of_a @ of_b.T).astype(np.float64))
        areas = of_a.sum(axis=1, dtype=np.float64), of_b.sum(axis=1, dtype=np.float64)
        sums.append(areas[0][:, None] + areas[1][None])
    return np.stack(inter, axis=-1), np.stack(sums, axis=-1)
