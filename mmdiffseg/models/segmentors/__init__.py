"""Hosts of diffusion heads that several papers share."""

from mmdiffseg.models.segmentors.diffusion_encoder_decoder import DiffusionEncoderDecoder

__all__ = [
    'DiffusionEncoderDecoder',
]
