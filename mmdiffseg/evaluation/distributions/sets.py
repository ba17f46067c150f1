"""Distances between two sets of label maps, from the distances of their members."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog


def generalized_energy_distance(
    across: NDArray,
    samples: NDArray,
    raters: NDArray,
    *,
    weights: NDArray | None = None,
    unbiased: bool = False,
) -> float:
    """GED squared: 2 E d(Y, S) - E d(S, S') - E d(Y, Y'), reported without a root.

    The V-statistic, over all pairs with themselves, is what papers report. It is too large by the
    diversity of the samples over S, so it falls with S even where nothing gets better.

    Args:
        across: Distances (R, S) of raters and samples.
        samples: Distances (S, S) among samples.
        raters: Distances (R, R) among raters.
        weights: Weights (R,) of the raters, of sum 1; None for equal ones.
        unbiased: Leave pairs of a sample with itself out. The raters are the distribution, so
            their pairs stay. NaN for one sample; may be negative.
    """
    weights = _weights(weights, len(raters))
    return float(
        2 * (weights @ across).mean()
        - diversity(samples, unbiased=unbiased)
        - weights @ raters @ weights
    )


def diversity(
    distances: NDArray, *, weights: NDArray | None = None, unbiased: bool = False
) -> float:
    """Mean distance between two members of a set.

    Args:
        distances: (n, n) among the members.
        weights: Weights (n,) of the members, of sum 1; None for equal ones.
        unbiased: Leave pairs of a member with itself out; NaN for one member. Not with weights.
    """
    count = len(distances)
    if unbiased:
        pairs = count * (count - 1)
        return float(distances.sum() / pairs) if pairs else math.nan
    weights = _weights(weights, count)
    return float(weights @ distances @ weights)


def hungarian_iou(across: NDArray, *, weights: NDArray | None = None) -> float:
    """HM-IoU: mean of 1 - d over the best matching of raters and samples.

    Both are repeated to the least common multiple of their numbers. That is one minus the cost of
    optimal transport, which is solved as such where the raters have weights. Not monotone in the
    number of samples.

    Args:
        across: Distances (R, S) of raters and samples.
        weights: Weights (R,) of the raters, of sum 1; None for equal ones.
    """
    raters, samples = across.shape
    if weights is None:
        total = math.lcm(raters, samples)
        cost = across.repeat(total // raters, axis=0).repeat(total // samples, axis=1)
        return float(1 - cost[linear_sum_assignment(cost)].mean())
    # flow (R, S) with the weights as sums over samples, and 1 / S as sums over raters
    rows = np.kron(np.eye(raters), np.ones(samples))
    columns = np.kron(np.ones(raters), np.eye(samples))
    sums = np.concatenate([weights, np.full(samples, 1 / samples)])
    return 1 - linprog(across.ravel(), A_eq=np.vstack([rows, columns]), b_eq=sums).fun


def _weights(weights: NDArray | None, count: int) -> NDArray:
    return np.full(count, 1 / count) if weights is None else np.asarray(weights, np.float64)
