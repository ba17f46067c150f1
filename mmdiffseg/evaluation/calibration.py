"""How well the probability of the foreground agrees with its frequency.

The paper on SegDiff shows such a score without its formula; these are the usual two.
"""

import numpy as np
from numpy.typing import NDArray


def reliability_bins(prob: NDArray, gt: NDArray, *, bins: int = 15) -> NDArray[np.float64]:
    """Sort pixels by their probability into bins of equal width.

    Bin b holds the probabilities in [b / bins, (b + 1) / bins), the last also 1. The sums of
    several images may be added.

    Args:
        prob: Probability of the foreground, in [0, 1].
        gt: True mask of the same shape, of bools or of 0 and 1.
        bins: Number of bins.

    Returns:
        Pixels, summed probability and foreground pixels of each bin, (3, bins).

    Raises:
        ValueError: A probability is not in [0, 1].
    """
    prob, gt = np.ravel(prob).astype(np.float64), np.ravel(gt)
    if not ((prob >= 0) & (prob <= 1)).all():  # also NaN
        raise ValueError(
            f'probabilities range from {prob.min()} to {prob.max()}: they must lie in [0, 1]'
        )
    index = np.minimum((prob * bins).astype(np.int64), bins - 1)
    weights = (None, prob, gt.astype(np.float64))
    return np.stack([np.bincount(index, weight, minlength=bins) for weight in weights]).astype(
        np.float64
    )


def expected_calibration_error(sums: NDArray[np.float64]) -> float:
    """Mean over the pixels of |foreground frequency - mean probability| in their bin, in [0, 1].

    Args:
        sums: What :func:`reliability_bins` returns, of at least one pixel.
    """
    pixels, prob, foreground = sums
    return float(np.abs(foreground - prob).sum() / pixels.sum())


def brier_score(prob: NDArray, gt: NDArray) -> float:
    """Mean squared difference of the probability and the truth, in [0, 1].

    Args:
        prob: Probability of the foreground, in [0, 1].
        gt: True mask of the same shape, of bools or of 0 and 1.
    """
    return float(np.mean((np.asarray(prob, np.float64) - gt) ** 2))
