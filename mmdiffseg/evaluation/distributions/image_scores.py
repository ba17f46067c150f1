"""All scores of one image."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    reliability_bins,
)
from mmdiffseg.evaluation.distributions.areas import area_crps, area_energy
from mmdiffseg.evaluation.distributions.distances import label_distances, max_matching
from mmdiffseg.evaluation.distributions.marginals import (
    adaptive_calibration_error,
    mean_calibration_error,
    negative_log_likelihood,
    soft_dice,
)
from mmdiffseg.evaluation.distributions.modes import (
    coherence,
    merge_equal_maps,
    mode_census,
    total_variation,
)
from mmdiffseg.evaluation.distributions.sets import (
    diversity,
    generalized_energy_distance,
    hungarian_iou,
)


def image_scores(
    raters: NDArray,
    samples: NDArray,
    *,
    classes: Sequence[int],
    weights: NDArray | None = None,
    empty: str = 'agrees',
) -> dict[str, float]:
    """Score the samples of one image against its raters.

    Args:
        raters: Label maps (R, N), integers, of the pixels that count.
        samples: Label maps (S, N).
        classes: The labels to compare, the foreground as a rule. Areas and marginals are scored
            one class against all others and averaged.
        weights: Weights (R,), of sum 1, where the raters are all modes of a known distribution;
            None where they are people.
        empty: See :func:`label_distances`.

    Returns:
        Scores by name. ``TV``, ``TV_marginals`` and ``modes_hit`` only come with weights,
        ``diversity_raters`` only with two raters or more.

    Raises:
        ValueError: There is nothing to compare, or maps and weights do not fit each other.
    """
    _check(raters, samples, classes, weights)
    if weights is not None:
        raters, weights, _ = merge_equal_maps(raters, weights)
    options = dict(classes=classes, empty=empty)
    across = label_distances(raters, samples, **options)
    among_samples = label_distances(samples, samples, **options)
    among_raters = label_distances(raters, raters, **options)
    sets = (across, among_samples, among_raters)
    scores = dict(
        GED=generalized_energy_distance(*sets, weights=weights),
        GED_unbiased=generalized_energy_distance(*sets, weights=weights, unbiased=True),
        HM_IoU=hungarian_iou(across, weights=weights),
        diversity=diversity(among_samples),
        diversity_unbiased=diversity(among_samples, unbiased=True),
        **max_matching(raters, samples, classes=classes, weights=weights),
        **coherence(across),
    )
    if len(raters) > 1 or weights is not None:
        scores['diversity_raters'] = diversity(among_raters, weights=weights)
    if weights is not None:
        census = mode_census(across)
        scores['TV'] = total_variation(census, weights)
        scores['modes_hit'] = float((census > 0).mean())
    per_class = [_class_scores(raters == c, samples == c, weights) for c in classes]
    means = {name: float(np.mean([s[name] for s in per_class])) for name in per_class[0]}
    return scores | means


def _check(
    raters: NDArray, samples: NDArray, classes: Sequence[int], weights: NDArray | None
) -> None:
    pixels = raters.shape[1:]
    for what, count in (
        ('raters', len(raters)),
        ('samples', len(samples)),
        ('pixels', math.prod(pixels)),
        ('classes', len(classes)),
    ):
        if not count:
            raise ValueError(f'0 {what} cannot be scored: give at least 1')
    if samples.shape[1:] != pixels:
        raise ValueError(f'samples of {samples.shape[1:]} pixels meet raters of {pixels}')
    if weights is not None and (len(weights) != len(raters) or abs(sum(weights) - 1) > 1e-6):
        raise ValueError(
            f'{len(raters)} raters need as many weights that add up to 1, got {len(weights)} of '
            f'sum {sum(weights):.6g}'
        )


def _class_scores(
    raters: NDArray[np.bool_], samples: NDArray[np.bool_], weights: NDArray | None
) -> dict[str, float]:
    target = np.average(raters, axis=0, weights=weights)  # (N,)
    prob = samples.mean(axis=0)
    bins = reliability_bins(prob, target)
    # where somebody sees the class: the background hides everything else
    band = raters.any(axis=0) | samples.any(axis=0)
    areas = samples.mean(axis=1), raters.mean(axis=1)
    scores = dict(
        area_CRPS=area_crps(*areas, weights=weights),
        area_CRPS_fair=area_crps(*areas, weights=weights, fair=True),
        area_energy=area_energy(*areas, weights=weights),
        soft_Dice=soft_dice(prob, target),
        ECE=expected_calibration_error(bins),
        ACE_mean=mean_calibration_error(bins),
        ACE_adaptive=adaptive_calibration_error(prob, target),
        ECE_band=_band_error(prob[band], target[band]),
        Brier=brier_score(prob, target),
        NLL=negative_log_likelihood(prob, target),
    )
    if weights is not None:
        scores['TV_marginals'] = float(np.abs(prob - target).mean())
    return scores


def _band_error(prob: NDArray, target: NDArray) -> float:
    return expected_calibration_error(reliability_bins(prob, target)) if prob.size else 0.0
