"""Parts of Ref LDM-Seg."""

from mmdiffseg.models.in_context.multi_step import MultiStep
from mmdiffseg.models.in_context.one_step import OneStep
from mmdiffseg.models.in_context.preprocessor import InContextPreprocessor
from mmdiffseg.models.in_context.prompt_encoder import CLIPPromptEncoder, EncodedPrompts

__all__ = [
    'CLIPPromptEncoder',
    'EncodedPrompts',
    'InContextPreprocessor',
    'MultiStep',
    'OneStep',
]
