"""Conformal risk control for masks: fit one number so that a risk stays below a promise.

Angelopoulos et al., "Conformal Risk Control", ICLR 2024: take n calibration images and a risk of at
most 1 that falls as the mask becomes more cautious. R is its mean over the images. The least
cautious mask with n / (n + 1) R + 1 / (n + 1) <= alpha has an expected risk of at most alpha on a
new image. That holds if the new image could as well have been one of the n (exchangeability), and
on average over calibration sets and images: not for each image, and not for each pixel.

A guarantee is a dict fit for JSON: ``kind``, ``risk``, ``source``, ``alpha``, ``value``, ``images``
(n), ``calibration_risk`` (R), ``model`` (fingerprint), ``settings`` and ``calibrated_on``.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from torch import nn

from mmdiffseg.guarantee import (
    KINDS,
    RISKS,
    Admitted,
    apply_guarantee,
    check_guarantee,
    cumulated_before,
    object_score,
    sampled_probability,
)

__all__ = [
    'KINDS',
    'RISKS',
    'Promise',
    'apply_guarantee',
    'calibrate',
    'check_guarantee',
    'check_splits',
    'fingerprint',
    'measured_risk',
    'risk_curve',
]

SOURCES = ('probability', 'samples')
MAX_MARGIN = 200
STEPS_A_PIXEL = 4


@dataclass(frozen=True)
class Promise:
    """What is to be promised, apart from how much.

    Args:
        kind: ``'threshold'`` of the probability or ``'margin'`` in pixels, for two classes;
            ``'set'`` of classes.
        risk: ``'missed'``, ``'false_positive'`` or ``'iou'``, see
            :data:`mmdiffseg.guarantee.RISKS`; a set only has ``'missed'``.
        source: Whether the class ``'probability'`` or the votes of the ``'samples'`` are cut.

    Example:
        >>> promise = Promise('threshold', 'missed')
        >>> curves = np.stack([risk_curve(p, y, promise) for p, y in calibration_images])
        >>> guarantee = calibrate(curves, promise, alpha=0.1, model=fingerprint(model))
        >>> inner, outer = apply_guarantee(probability, guarantee)
    """

    kind: str
    risk: str = 'missed'
    source: str = 'probability'

    def __post_init__(self) -> None:
        for name, value, known in (
            ('kind', self.kind, KINDS),
            ('risk', self.risk, tuple(RISKS)),
            ('source', self.source, SOURCES),
        ):
            if value not in known:
                raise ValueError(f'{name} must be one of {known}, got {value!r}')
        if self.kind == 'set' and self.risk != 'missed':
            raise ValueError(f"a set of classes can promise risk='missed' only, got {self.risk!r}")

    @property
    def grid(self) -> NDArray[np.float64]:
        """Values to choose from, from the least cautious to one without any risk.

        Steps of probability are fine near 0 and 1, where most pixels are.
        """
        if self.kind == 'margin':
            return np.linspace(0, MAX_MARGIN, STEPS_A_PIXEL * MAX_MARGIN + 1)
        rising = np.concatenate([[0], 1 / (1 + np.exp(-np.linspace(-14, 14, 1025))), [1]])
        if self.kind == 'set' or self.risk == 'false_positive':
            return rising
        return rising[::-1] if self.risk == 'missed' else rising[rising >= 0.5]


def risk_curve(
    probability: NDArray,
    labels: NDArray,
    promise: Promise,
    *,
    samples: NDArray | None = None,
    ignore_index: int = 255,
) -> NDArray[np.float64]:
    """The risk of an image at every value of the promise's grid.

    Args:
        probability: Class probabilities (K, H, W).
        labels: True classes (H, W).
        promise: What is promised.
        samples: Label maps (G, H, W), for a promise from samples.
        ignore_index: Label of the pixels that do not count.

    Returns:
        Risks in [0, 1] that never rise along the grid.
    """
    if promise.source == 'samples':
        probability = sampled_probability(probability, samples)
    valid = labels != ignore_index
    grid = promise.grid
    if promise.kind == 'set':
        before = cumulated_before(probability[:, valid])
        of_truth = np.take_along_axis(before, labels[valid].astype(np.int64)[None], axis=0)[0]
        # the true class is in where less than the value comes before it
        missed = 1 - _share(of_truth, grid, 'left')
        missed[0] = (of_truth > 0).mean() if of_truth.size else 0.0
        missed[-1] = 0.0
        return missed
    score = object_score(probability, promise.kind)[valid]
    true = labels[valid] == 1
    if promise.kind == 'threshold':
        low, high = (1 - grid, grid) if promise.risk == 'iou' else (grid, grid)
    else:
        low, high = -grid, grid
    found, size = _above(score[true], low, 'left'), true.sum()
    if promise.risk == 'missed':
        return (size - found) / max(size, 1)
    wrong, right = _above(score[~true], high, 'right'), _above(score[true], high, 'right')
    if promise.risk == 'iou':
        # the nearest mask between both: the truth within the outer, joined with the inner
        return 1 - np.divide(found, size + wrong, out=np.ones_like(found), where=size + wrong > 0)
    marked = wrong + right
    share = np.divide(wrong, marked, out=np.zeros_like(wrong), where=marked > 0)
    # the share may rise as the inner mask shrinks; the largest to come is a bound that does not
    return np.maximum.accumulate(share[::-1])[::-1]


def _share(values: NDArray, grid: NDArray, side: str) -> NDArray[np.float64]:
    """Share of some values below each (rising) grid value, 1 without any value."""
    if not values.size:
        return np.ones(len(grid))
    return np.searchsorted(np.sort(values), grid, side) / values.size


def _above(values: NDArray, cuts: NDArray, side: str) -> NDArray[np.float64]:
    """How many values are >= (``left``) or > (``right``) each cut."""
    return values.size - np.searchsorted(np.sort(values), cuts, side).astype(np.float64)


def smallest_set(alpha: float) -> int:
    """Fewest calibration images with which ``alpha`` can be promised: 1 / (n + 1) <= alpha."""
    return math.ceil(1 / alpha - 1 - 1e-9)


def choose(curves: NDArray, alpha: float) -> int | None:
    """Index of the least cautious value that keeps the promise, or None if no value does.

    Args:
        curves: Risks (n, values) that never rise.
        alpha: The promised risk.
    """
    n = len(curves)
    bound = (curves.sum(axis=0) + 1) / (n + 1)
    kept = np.flatnonzero(bound <= alpha + 1e-12)
    return int(kept[0]) if kept.size else None


def calibrate(
    curves: NDArray,
    promise: Promise,
    *,
    alpha: float,
    model: str,
    settings: dict | None = None,
    calibrated_on: dict | None = None,
) -> dict:
    """Make the guarantee.

    Args:
        curves: Risk curves (n, values) of the calibration images, see :func:`risk_curve`.
        promise: What they are curves of.
        alpha: The risk to promise, in (0, 1).
        model: Its :func:`fingerprint`.
        settings: How it predicts, see as :attr:`Segmenter.settings` tells.
        calibrated_on: What data, for people to read.

    Returns:
        The guarantee.

    Raises:
        ValueError: ``alpha`` is out of range, there are too few images for it, or no value of the
            grid keeps it.
    """
    n = len(curves)
    check_promise(alpha, n)
    index = choose(curves, alpha)
    if index is None:
        best = (curves[:, -1].sum() + 1) / (n + 1)
        raise ValueError(
            f'no {promise.kind} up to {promise.grid[-1]:g} promises a risk of {alpha}: the most '
            f'cautious one promises {best:.4f}; promise less, or take another kind'
        )
    return dict(
        kind=promise.kind,
        risk=promise.risk,
        source=promise.source,
        alpha=alpha,
        value=float(promise.grid[index]),
        images=n,
        calibration_risk=float(curves[:, index].mean()),
        model=model,
        settings=dict(settings or {}),
        calibrated_on=dict(calibrated_on or {}),
    )


def check_promise(alpha: float, images: int) -> None:
    """Check that a risk can be promised with so many calibration images.

    Raises:
        ValueError: It does not lie in (0, 1), or the images are too few.
    """
    if not 0 < alpha < 1:
        raise ValueError(
            f'alpha={alpha:g} must lie between 0 and 1 (exclusive): it is the '
            'promised risk, such as 0.1'
        )
    fewest = smallest_set(alpha)
    if images < fewest:
        raise ValueError(
            f'{images} calibration images are too few to promise a risk of {alpha:g}: {fewest} are '
            'the fewest that can do, and more give a tighter mask'
        )


def measured_risk(
    admitted: Admitted, labels: NDArray, risk: str, *, ignore_index: int = 255
) -> float:
    """The risk of an image under a guarantee.

    Args:
        admitted: What :func:`apply_guarantee` returns.
        labels: True classes (H, W).
        risk: Which risk is promised.
        ignore_index: Label of the pixels that do not count.

    Returns:
        In [0, 1].
    """
    valid = labels != ignore_index
    if not isinstance(admitted, tuple):
        if not valid.any():
            return 0.0
        truth = labels[valid].astype(np.int64)[None]
        return float(1 - np.take_along_axis(admitted[:, valid], truth, axis=0).mean())
    true = (labels == 1)[valid]
    inner, outer = (None if mask is None else mask[valid] for mask in admitted)
    if risk == 'missed':
        return float((true & ~outer).sum() / max(true.sum(), 1))
    if risk == 'false_positive':
        return float((inner & ~true).sum() / max(inner.sum(), 1))
    union = (true | inner).sum()
    return float(1 - (true & outer).sum() / union) if union else 0.0


def check_splits(
    curves: NDArray,
    alpha: float,
    *,
    tested: NDArray | None = None,
    splits: int = 100,
    share: float = 0.5,
    seed: int = 0,
) -> dict[str, float]:
    """Calibrate and test on random splits of the same images.

    Args:
        curves: Risk curves (N, values) of all images.
        alpha: The promised risk.
        tested: Risk curves of the same images as they are when tested, such as blurred; the same
            by default.
        splits: Number of random splits.
        share: Of the images to calibrate on.
        seed: Of the splits.

    Returns:
        ``mean_risk`` of the test images over all splits, which the theory bounds by ``alpha``;
        ``above``, the share of splits whose mean test risk exceeds ``alpha``; and
        ``expected_above``, what this share would be if the mean risk of a test part, given that of
        the calibration part, were normal.

    Raises:
        ValueError: The calibration part is too small for ``alpha``, or leaves none to test on.
    """
    n = round(share * len(curves))
    check_promise(alpha, n)
    if n == len(curves):
        raise ValueError(f'a share of {share:g} of {n} images leaves none to test on')
    tested = curves if tested is None else tested
    rng = np.random.default_rng(seed)
    risks, chances = [], []
    for _ in range(splits):
        order = rng.permutation(len(curves))
        index = choose(curves[order[:n]], alpha)
        if index is None:
            raise ValueError(f'no value of the grid promises a risk of {alpha} in some split')
        risks.append(tested[order[n:], index].mean())
        spread = curves[:, index].std(ddof=1) * math.sqrt(1 / n + 1 / (len(curves) - n))
        centre = curves[order[:n], index].mean()
        chances.append(float(norm.sf(alpha, centre, spread)) if spread else float(centre > alpha))
    return dict(
        images=len(curves),
        calibration_images=n,
        splits=splits,
        alpha=alpha,
        mean_risk=float(np.mean(risks)),
        above=float(np.mean(np.array(risks) > alpha)),
        expected_above=float(np.mean(chances)),
    )


def fingerprint(model: nn.Module) -> str:
    """A name for the weights of a model: the first 16 digits of a SHA-256.

    Floats are rounded to half precision, so that a model keeps its name when shared in 16 bit.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        value = value.detach().cpu()
        value = value.half() if value.is_floating_point() else value
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
