"""Backbones, with ImageNet weights through timm."""

from mmdiffseg.models.backbones.convnext import ConvNeXt
from mmdiffseg.models.backbones.swin import SwinTransformer

__all__ = ['ConvNeXt', 'SwinTransformer']
