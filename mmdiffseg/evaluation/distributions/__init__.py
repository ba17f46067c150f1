"""Scores of several samples against several right answers.

Notation: R raters (or M exact modes with their weights), S samples, C classes that count, N pixels
that count. Scores of one image are float64; means over images are for the caller.
"""

from mmdiffseg.evaluation.distributions.areas import area_crps, area_energy
from mmdiffseg.evaluation.distributions.distances import (
    class_ious,
    label_distances,
    max_matching,
)
from mmdiffseg.evaluation.distributions.image_scores import image_scores
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

__all__ = [
    'adaptive_calibration_error',
    'area_crps',
    'area_energy',
    'class_ious',
    'coherence',
    'diversity',
    'generalized_energy_distance',
    'hungarian_iou',
    'image_scores',
    'label_distances',
    'max_matching',
    'mean_calibration_error',
    'merge_equal_maps',
    'mode_census',
    'negative_log_likelihood',
    'soft_dice',
    'total_variation',
]
