"""Whether uncertainty ranks errors: risk against coverage, AURC, AUSE and AUROC.

Everything is computed from groups of equal uncertainty, surest first: how many things a group holds
(pixels, or images) and the sum of their errors, each in [0, 1]. Within a group any order is equally
likely; the areas are exact means over these orders.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

OCTAVES = 32
PER_OCTAVE = 64
#: one group below 2^-32, then 64 in each octave up to 1, which has a group of its own
GROUPS = OCTAVES * PER_OCTAVE + 2


def group_things(uncertainty: NDArray, errors: NDArray) -> tuple[NDArray, NDArray]:
    """Group things by their exact uncertainty, surest first.

    Args:
        uncertainty: Uncertainty (N,) of each.
        errors: Error (N,) of each, in [0, 1].

    Returns:
        Size and summed error of each group.
    """
    _, group = np.unique(uncertainty, return_inverse=True)
    return np.bincount(group).astype(np.float64), np.bincount(group, errors)


def risk_coverage(counts: NDArray, errors: NDArray) -> tuple[NDArray, NDArray]:
    """Mean error of what is kept, when the most uncertain are left to somebody else.

    Args:
        counts: Size (M,) of each group, surest first.
        errors: Summed error (M,) of each group.

    Returns:
        Share that is kept, in (0, 1], and mean error of these, after each group with a member.
    """
    counts, errors = counts[counts > 0], errors[counts > 0]
    kept = np.cumsum(counts)
    return kept / kept[-1], np.cumsum(errors) / kept


def aurc(counts: NDArray, errors: NDArray) -> float:
    """Area under risk over coverage (Geifman and El-Yaniv 2017), in [0, 1]; 0 is best.

    The trapezoids over k / N for k = 1 ... N, divided by their width. NaN for fewer than two.

    Args:
        counts: Size (M,) of each group, surest first.
        errors: Summed error (M,) of each group.
    """
    counts, errors = counts[counts > 0], errors[counts > 0]
    total = counts.sum()
    if total < 2:
        return math.nan
    ends = np.cumsum(counts)
    starts = ends - counts
    rate = errors / counts
    before = np.cumsum(errors) - errors
    # the error rate of k things, (before + rate (k - start)) / k, summed over the k of the group
    sums = rate * counts + (before - rate * starts) * (digamma(ends + 1) - digamma(starts + 1))
    return float((sums.sum() - (rate[0] + errors.sum() / total) / 2) / (total - 1))


def ause(counts: NDArray, errors: NDArray) -> float:
    """Area between the sparsification curve and the best one there is (Ilg et al. 2018).

    Both curves are divided by the mean error. Only for errors of 0 and 1, which the best order puts
    at the end. NaN for fewer than two, 0 without errors.

    Args:
        counts: Size (M,) of each group, surest first.
        errors: Summed error (M,) of each group.
    """
    total, wrong = counts.sum(), errors.sum()
    if not wrong:
        return 0.0
    best = np.array([total - wrong, wrong])
    excess = aurc(counts, errors) - aurc(best, np.array([0.0, wrong]))
    return float(excess * (total - 1) / wrong)


def auroc(right: NDArray, wrong: NDArray) -> float:
    """Chance that something wrong is more uncertain than something right; ties count half.

    Args:
        right: How many of each group (M,), surest first, are right.
        wrong: How many are wrong.

    Returns:
        In [0, 1]; 0.5 for uncertainty that says nothing, NaN if all are right or all wrong.
    """
    pairs = right.sum() * wrong.sum()
    if not pairs:
        return math.nan
    surer = np.cumsum(right) - right
    return float((wrong * (surer + right / 2)).sum() / pairs)
