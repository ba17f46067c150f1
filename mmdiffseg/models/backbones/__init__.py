"""Image encoders; those that start from ImageNet get its weights through timm."""

from mmdiffseg.models.backbones.attention_keys import AttentionKeys
from mmdiffseg.models.backbones.convnext import ConvNeXt
from mmdiffseg.models.backbones.identity import IdentityBackbone, ImageAndFeatures
from mmdiffseg.models.backbones.resnet import ResNet
from mmdiffseg.models.backbones.swin import SwinTransformer
from mmdiffseg.models.backbones.timm_features import TimmFeatures

__all__ = [
    'AttentionKeys',
    'ConvNeXt',
    'IdentityBackbone',
    'ImageAndFeatures',
    'ResNet',
    'SwinTransformer',
    'TimmFeatures',
]
