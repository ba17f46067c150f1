"""Heads that draw whole masks from the distribution of what raters would draw."""

from mmdiffseg.models.stochastic.categorical import CategoricalMapHead
from mmdiffseg.models.stochastic.direct import MCDropoutHead, PixelwiseHead
from mmdiffseg.models.stochastic.encoded import EncodedMapHead
from mmdiffseg.models.stochastic.ensemble import CheckpointEnsemble
from mmdiffseg.models.stochastic.feature_unet import FeatureMapUNet
from mmdiffseg.models.stochastic.segmentor import StochasticSegmentor
from mmdiffseg.models.stochastic.ssn import SSNHead
from mmdiffseg.models.stochastic.teacher import Teacher
from mmdiffseg.models.stochastic.unet import CCDMUNet

__all__ = [
    'CCDMUNet',
    'CategoricalMapHead',
    'CheckpointEnsemble',
    'EncodedMapHead',
    'FeatureMapUNet',
    'MCDropoutHead',
    'PixelwiseHead',
    'SSNHead',
    'StochasticSegmentor',
    'Teacher',
]
