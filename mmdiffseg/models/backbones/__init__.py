"""Image encoders; those that start from ImageNet get its weights through timm."""

from mmdiffseg.models.backbones.convnext import ConvNeXt
from mmdiffseg.models.backbones.identity import IdentityBackbone
from mmdiffseg.models.backbones.resnet import ResNet
from mmdiffseg.models.backbones.swin import SwinTransformer

__all__ = [
    'ConvNeXt',
    'IdentityBackbone',
    'ResNet',
    'SwinTransformer',
]
