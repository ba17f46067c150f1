"""Intervals of measures and of paired differences, by resampling images."""

from collections.abc import Mapping

import numpy as np

from mmdiffseg.evaluation.trust.account import Account

RESAMPLES = 1000
LEVEL = 0.95


def resample(
    accounts: Mapping[str, Account], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, dict[str, np.ndarray]]:
    """Measures of every model on the same resampled images.

    Args:
        accounts: Of the models by name, over the same images in the same order.
        resamples: Number of resamples.
        seed: Of the resamples.

    Returns:
        Every measure of every model, (resamples,), paired between the models.

    Raises:
        ValueError: The images differ.
    """
    first, *others = accounts.items()
    for name, account in others:
        if account.names != first[1].names:
            raise ValueError(
                f'{name} and {first[0]} are measured on different images: give them the same data'
            )
    blocks = first[1].blocks
    rng = np.random.default_rng(seed)
    picks = rng.integers(blocks, size=(resamples, blocks))
    draws = [np.bincount(row, minlength=blocks) for row in picks]
    found = {}
    for name, account in accounts.items():
        rows = [account.measures(counts) for counts in draws]
        found[name] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return found


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """Where 95 % of resampled values lie; None where most of them are not defined."""
    finite = values[np.isfinite(values)]
    if len(finite) < len(values) / 2:
        return None
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(finite, [tail, 100 - tail])
    return float(low), float(high)
