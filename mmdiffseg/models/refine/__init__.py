"""SegRefiner: a coarse mask, whoever made it, made better."""

from mmdiffseg.models.refine.head import MaskRefineHead
from mmdiffseg.models.refine.loss import texture, texture_loss
from mmdiffseg.models.refine.refiner import MaskRefiner
from mmdiffseg.models.refine.unet import PixelShuffleUNet

__all__ = ['MaskRefineHead', 'MaskRefiner', 'PixelShuffleUNet', 'texture', 'texture_loss']
