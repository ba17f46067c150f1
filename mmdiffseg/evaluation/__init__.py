"""Metrics; importing this package registers all of them."""

from mmdiffseg.evaluation.binary_mask_metric import BinaryMaskMetric
from mmdiffseg.evaluation.binary_masks import area_ratio, f1_score, iou, weighted_coverage
from mmdiffseg.evaluation.boundaries import boundary_f1, boundary_map, boundary_matches
from mmdiffseg.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    reliability_bins,
)
from mmdiffseg.evaluation.depth_errors import crop_mask, depth_errors
from mmdiffseg.evaluation.depth_metric import DepthMetric
from mmdiffseg.evaluation.map_iou_metric import MapIoUMetric, map_counts, map_iou

__all__ = [
    'BinaryMaskMetric',
    'DepthMetric',
    'MapIoUMetric',
    'area_ratio',
    'boundary_f1',
    'boundary_map',
    'boundary_matches',
    'brier_score',
    'crop_mask',
    'depth_errors',
    'expected_calibration_error',
    'f1_score',
    'iou',
    'map_counts',
    'map_iou',
    'reliability_bins',
    'weighted_coverage',
]
