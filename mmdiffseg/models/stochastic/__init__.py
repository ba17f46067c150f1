"""Heads that draw whole masks from the distribution of what raters would draw."""

from mmdiffseg.models.stochastic.direct import MCDropoutHead, PixelwiseHead
from mmdiffseg.models.stochastic.segmentor import StochasticSegmentor
from mmdiffseg.models.stochastic.ssn import SSNHead
from mmdiffseg.models.stochastic.unet import CCDMUNet

__all__ = [
    'CCDMUNet',
    'MCDropoutHead',
    'PixelwiseHead',
    'SSNHead',
    'StochasticSegmentor',
]
