"""SegRefiner: a coarse mask, whoever made it, made better."""

from mmdiffseg.models.refine.head import MaskRefineHead
from mmdiffseg.models.refine.loss import texture, texture_loss
from mmdiffseg.models.refine.merging import Refined, merge_labels, whole_probability
from mmdiffseg.models.refine.refiner import MaskRefiner, Target
from mmdiffseg.models.refine.unet import PixelShuffleUNet
from mmdiffseg.models.refine.wrappers import RefinedDetector, RefinedSegmentor

__all__ = [
    'MaskRefineHead',
    'MaskRefiner',
    'PixelShuffleUNet',
    'Refined',
    'RefinedDetector',
    'RefinedSegmentor',
    'Target',
    'merge_labels',
    'texture',
    'texture_loss',
    'whole_probability',
]
