"""Scores of the area of a class: what overlap hides, such as always half a nodule.

Areas are shares of the pixels that count, in [0, 1]; one number for each sample or rater.
"""

import math

import numpy as np
from numpy.typing import NDArray


def area_crps(
    samples: NDArray, raters: NDArray, *, weights: NDArray | None = None, fair: bool = False
) -> float:
    """Continuous ranked probability score E|a - y| - E|a - a'| / 2, averaged over the raters.

    Args:
        samples: Areas (S,).
        raters: Areas (R,).
        weights: Weights (R,) of the raters, of sum 1; None for equal ones.
        fair: Leave pairs of a sample with itself out; NaN for one sample.
    """
    error = np.average(_gaps(samples, raters).mean(axis=0), weights=weights)
    return float(error - _spread(samples, fair=fair) / 2)


def area_energy(samples: NDArray, raters: NDArray, *, weights: NDArray | None = None) -> float:
    """2 E|a - y| - E|a - a'| - E|y - y'|, 0 only where the two distributions of areas agree.

    Args:
        samples: Areas (S,).
        raters: Areas (R,).
        weights: Weights (R,) of the raters, of sum 1; None for equal ones.
    """
    error = np.average(_gaps(samples, raters).mean(axis=0), weights=weights)
    among = np.average(np.average(_gaps(raters, raters), axis=0, weights=weights), weights=weights)
    return float(2 * error - _spread(samples) - among)


def _gaps(a: NDArray, b: NDArray) -> NDArray:
    return np.abs(np.subtract.outer(np.asarray(a, np.float64), np.asarray(b, np.float64)))


def _spread(areas: NDArray, *, fair: bool = False) -> float:
    count = len(areas)
    pairs = count * (count - 1) if fair else count**2
    return _gaps(areas, areas).sum() / pairs if pairs else math.nan
