"""Heads that draw whole masks from the distribution of what raters would draw."""

from mmdiffseg.models.stochastic.unet import CCDMUNet

__all__ = [
    'CCDMUNet',
]
