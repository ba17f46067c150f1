"""Segmentors."""

from mmdiffseg.models.segmentors.diffusion_depth_estimator import (
    DepthTTAModel,
    DiffusionDepthEstimator,
)
from mmdiffseg.models.segmentors.diffusion_encoder_decoder import DiffusionEncoderDecoder
from mmdiffseg.models.segmentors.map_segmentor import MapSegmentor
from mmdiffseg.models.segmentors.ref_diff import RefDiff, Referral
from mmdiffseg.models.segmentors.ref_ldm_seg import RefLDMSeg
from mmdiffseg.models.segmentors.segdiff import SegDiff

__all__ = [
    'DepthTTAModel',
    'DiffusionDepthEstimator',
    'DiffusionEncoderDecoder',
    'MapSegmentor',
    'RefDiff',
    'Referral',
    'RefLDMSeg',
    'SegDiff',
]
