"""Ref LDM-Seg: in-context segmentation by a latent diffusion model (arXiv 2403.09616)."""

from mmdiffseg.models.in_context.multi_step import MultiStep
from mmdiffseg.models.in_context.one_step import OneStep
from mmdiffseg.models.in_context.preprocessor import InContextPreprocessor
from mmdiffseg.models.in_context.prompt_encoder import CLIPPromptEncoder, EncodedPrompts
from mmdiffseg.models.in_context.segmentor import RefLDMSeg

__all__ = [
    'CLIPPromptEncoder',
    'EncodedPrompts',
    'InContextPreprocessor',
    'MultiStep',
    'OneStep',
    'RefLDMSeg',
]
