"""Scores of the mean of the samples against the mean of the raters, pixel by pixel.

Both are probabilities of one class in [0, 1], of one shape. Nothing here sees whether pixels of a
sample belong together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def soft_dice(
    samples: NDArray, raters: NDArray, *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Dice of both means cut at several thresholds, averaged (QUBIQ; BerDiff).

    Args:
        samples: Mean of the samples.
        raters: Mean of the raters.
        thresholds: Where both are cut; a pixel above one is foreground.
    """
    scores = []
    for threshold in thresholds:
        a, b = samples > threshold, raters > threshold
        scores.append((2 * (a & b).sum() + 1e-6) / (a.sum() + b.sum() + 1e-6))
    return float(np.mean(scores))


def mean_calibration_error(sums: NDArray[np.float64]) -> float:
    """Mean over the bins that hold pixels of |frequency - mean probability|, called ACE by some.

    Args:
        sums: What :func:`mmdiffseg.evaluation.reliability_bins` returns, of at least one pixel.
    """
    pixels, prob, target = sums[:, sums[0] > 0]
    return float(np.mean(np.abs(target - prob) / pixels))


def adaptive_calibration_error(samples: NDArray, raters: NDArray, *, bins: int = 15) -> float:
    """Mean over bins of equally many pixels of |frequency - mean probability|.

    Called ACE by others, and not :func:`mean_calibration_error`. Pixels of equal probability keep
    their order.

    Args:
        samples: Mean of the samples.
        raters: Mean of the raters.
        bins: Number of bins.
    """
    order = np.argsort(np.ravel(samples), kind='stable')
    gaps = np.ravel(samples)[order] - np.ravel(raters)[order]
    return float(np.mean([abs(part.mean()) for part in np.array_split(gaps, bins) if part.size]))


def negative_log_likelihood(samples: NDArray, raters: NDArray) -> float:
    """Mean over pixels of the raters' surprise, in nats; probabilities are kept 1e-6 off 0 and 1.

    Args:
        samples: Mean of the samples.
        raters: Mean of the raters.
    """
    p = np.clip(samples, 1e-6, 1 - 1e-6)
    return float(-np.mean(raters * np.log(p) + (1 - raters) * np.log1p(-p)))
