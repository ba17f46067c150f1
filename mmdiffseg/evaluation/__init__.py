"""Metrics; importing this package registers all of them."""

from mmdiffseg.evaluation.binary_mask_metric import BinaryMaskMetric
from mmdiffseg.evaluation.binary_masks import area_ratio, f1_score, iou, weighted_coverage
from mmdiffseg.evaluation.boundaries import boundary_f1, boundary_map, boundary_matches
from mmdiffseg.evaluation.boundary_metric import BoundaryMetric
from mmdiffseg.evaluation.boundary_scores import (
    boundary_accuracy,
    boundary_band,
    boundary_iou,
    boundary_radii,
)
from mmdiffseg.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    reliability_bins,
)
from mmdiffseg.evaluation.davis import contour_accuracy, region_similarity
from mmdiffseg.evaluation.davis_metric import DavisJFMetric
from mmdiffseg.evaluation.depth_errors import crop_mask, depth_errors
from mmdiffseg.evaluation.depth_metric import DepthMetric
from mmdiffseg.evaluation.distribution_metric import DistributionMetric
from mmdiffseg.evaluation.episodes import binary_counts, class_iou, fb_iou, mean_iou
from mmdiffseg.evaluation.flicker import boundary_flicker, outline_offsets
from mmdiffseg.evaluation.flicker_metric import BoundaryFlickerMetric
from mmdiffseg.evaluation.in_context_iou_metric import InContextIoUMetric
from mmdiffseg.evaluation.map_iou_metric import MapIoUMetric, map_counts, map_iou
from mmdiffseg.evaluation.ref_iou_metric import RefIoUMetric
from mmdiffseg.evaluation.video_class_iou_metric import VideoClassIoUMetric

__all__ = [
    'BinaryMaskMetric',
    'BoundaryFlickerMetric',
    'BoundaryMetric',
    'DavisJFMetric',
    'DepthMetric',
    'DistributionMetric',
    'InContextIoUMetric',
    'MapIoUMetric',
    'RefIoUMetric',
    'VideoClassIoUMetric',
    'area_ratio',
    'binary_counts',
    'boundary_accuracy',
    'boundary_band',
    'boundary_f1',
    'boundary_flicker',
    'boundary_iou',
    'boundary_map',
    'boundary_matches',
    'boundary_radii',
    'brier_score',
    'class_iou',
    'contour_accuracy',
    'crop_mask',
    'depth_errors',
    'expected_calibration_error',
    'f1_score',
    'fb_iou',
    'iou',
    'map_counts',
    'map_iou',
    'mean_iou',
    'outline_offsets',
    'region_similarity',
    'reliability_bins',
    'weighted_coverage',
]
