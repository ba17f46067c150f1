"""How well probabilities agree with frequencies, from sums over bins of pixels.

All sums are (3, ..., bins): pixels, summed probability and hits, in bins of equal width over
[0, 1]. They add up over images, so that no measure needs more memory for more images.
"""

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.evaluation.calibration import expected_calibration_error

BINS = 15
FINE_BINS = 100 * BINS


def coarsen(sums: NDArray, bins: int = BINS) -> NDArray[np.float64]:
    """Join fine bins, whose number is a multiple of ``bins``, to (3, ..., bins)."""
    return sums.reshape(*sums.shape[:-1], bins, -1).sum(axis=-1)


def adaptive_error(sums: NDArray, bins: int = BINS) -> float:
    """Mean over bins of equally many pixels of |frequency - mean probability|, in [0, 1].

    A bin of equal width that has to be divided gives proportional parts. So the finer the bins,
    the closer this comes to sorting the pixels.

    Args:
        sums: Fine bins (3, N), of at least one pixel.
        bins: Number of bins of equally many pixels.
    """
    pixels, prob, hits = np.cumsum(np.pad(sums, ((0, 0), (1, 0))), axis=1)
    ends = np.linspace(0, pixels[-1], bins + 1)
    gaps = np.diff(np.interp(ends, pixels, hits - prob))
    return float(np.abs(gaps).sum() / pixels[-1])


def class_wise_error(sums: NDArray) -> float:
    """Expected calibration error of each class against all others, averaged over the classes.

    Args:
        sums: Bins of the K classes, (3, K, bins).
    """
    return float(
        np.mean([expected_calibration_error(of_class) for of_class in sums.swapaxes(0, 1)])
    )


def split_brier(brier: float, sums: NDArray) -> dict[str, float]:
    """Split a Brier score, summed over the classes (Murphy 1973; Stephenson et al. 2008).

    Args:
        brier: Mean over pixels of the squared distance of the probabilities and the truth.
        sums: Bins of the K classes, (3, K, bins).

    Returns:
        ``reliability`` (0 if calibrated) - ``resolution`` (what the probabilities tell apart) +
        ``uncertainty`` (of the class frequencies alone) + ``within_bins`` (what bins cannot see)
        is the score.
    """
    pixels, prob, hits = sums  # (K, bins)
    total = pixels.sum(axis=1, keepdims=True)
    share = pixels / total
    mean_prob = np.divide(prob, pixels, out=np.zeros_like(prob), where=pixels > 0)
    frequency = np.divide(hits, pixels, out=np.zeros_like(hits), where=pixels > 0)
    base = hits.sum(axis=1, keepdims=True) / total
    reliability = float((share * (mean_prob - frequency) ** 2).sum())
    resolution = float((share * (frequency - base) ** 2).sum())
    uncertainty = float((base * (1 - base)).sum())
    return dict(
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bins=brier - (reliability - resolution + uncertainty),
    )
