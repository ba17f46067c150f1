"""Ref LDM-Seg: in-context segmentation by a latent diffusion model (arXiv 2403.09616)."""

from mmdiffseg.models.in_context.multi_step import RefLDMSegMultiStep
from mmdiffseg.models.in_context.one_step import RefLDMSegOneStep
from mmdiffseg.models.in_context.preprocessor import InContextPreprocessor
from mmdiffseg.models.in_context.prompt_encoder import CLIPPromptEncoder, EncodedPrompts
from mmdiffseg.models.in_context.segmentor import InContextSegmentor

__all__ = [
    'CLIPPromptEncoder',
    'EncodedPrompts',
    'InContextPreprocessor',
    'InContextSegmentor',
    'RefLDMSegMultiStep',
    'RefLDMSegOneStep',
]
