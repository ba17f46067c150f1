"""How far a model's sureness can be trusted.

Measures of calibration (do probabilities agree with frequencies?) and of ranking (is what the model
is unsure of what it gets wrong?), for pixels and for images. Pixels are summed up in arrays of a
fixed size, so that memory does not grow with the data.
"""

from mmdiffseg.evaluation.trust.calibration import (
    adaptive_error,
    class_wise_error,
    coarsen,
    split_brier,
)
from mmdiffseg.evaluation.trust.image_numbers import (
    area_numbers,
    foreground,
    image_measures,
    map_to_numbers,
    mean_dice,
    pairwise_disagreement,
)
from mmdiffseg.evaluation.trust.labelled import LabelledPrediction, with_truth
from mmdiffseg.evaluation.trust.pixel_sums import pixel_measures, sum_pixels
from mmdiffseg.evaluation.trust.probabilities import log_probabilities, uncertainty_maps
from mmdiffseg.evaluation.trust.ranking import aurc, auroc, ause, group_things, risk_coverage
from mmdiffseg.evaluation.trust.temperature import (
    PixelReservoir,
    apply_temperature,
    fit_temperature,
)

__all__ = [
    'LabelledPrediction',
    'PixelReservoir',
    'adaptive_error',
    'apply_temperature',
    'area_numbers',
    'ause',
    'auroc',
    'aurc',
    'class_wise_error',
    'coarsen',
    'fit_temperature',
    'foreground',
    'group_things',
    'image_measures',
    'log_probabilities',
    'map_to_numbers',
    'mean_dice',
    'pairwise_disagreement',
    'pixel_measures',
    'risk_coverage',
    'split_brier',
    'sum_pixels',
    'uncertainty_maps',
    'with_truth',
]
