"""Which of the right answers each sample gives, and whether it gives one at all."""

import numpy as np
from numpy.typing import NDArray


def merge_equal_maps(
    maps: NDArray, weights: NDArray
) -> tuple[NDArray, NDArray[np.float64], NDArray[np.int64]]:
    """Take equal maps for one mode: their weights add up.

    Args:
        maps: Label maps (M, ...).
        weights: Weights (M,).

    Returns:
        The different maps in the order of their first copy (m, ...), their weights (m,), and the
        number of its mode for every map (M,).
    """
    numbers = {}
    mode = np.array([numbers.setdefault(labels.tobytes(), len(numbers)) for labels in maps])
    first = np.unique(mode, return_index=True)[1]
    return maps[first], np.bincount(mode, weights), mode


def mode_census(across: NDArray) -> NDArray[np.float64]:
    """Share of the samples that are nearest to each mode.

    Args:
        across: Distances (M, S) of modes and samples. Modes must differ: ties go to the first.

    Returns:
        Frequencies (M,).
    """
    return np.bincount(across.argmin(axis=0), minlength=len(across)) / across.shape[1]


def total_variation(frequencies: NDArray, weights: NDArray) -> float:
    """Half the summed difference of two distributions, in [0, 1]."""
    return float(np.abs(np.asarray(frequencies) - weights).sum() / 2)


def coherence(across: NDArray, *, threshold: float = 0.05) -> dict[str, float]:
    """How near the samples are to answers that somebody gave.

    Args:
        across: Distances (R, S) of raters, or modes, and samples.
        threshold: A sample is coherent if its nearest rater is nearer than this.

    Returns:
        ``coherence``, the share of coherent samples, and ``nearest``, the mean distance of a sample
        to its nearest rater.
    """
    nearest = across.min(axis=0)
    return dict(coherence=float((nearest < threshold).mean()), nearest=float(nearest.mean()))
