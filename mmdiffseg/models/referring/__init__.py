"""Ref-Diff: zero-shot referring segmentation by generative models (arXiv 2308.16777)."""

from mmdiffseg.models.referring.fusion import RefScoreFusion, region_contrast
from mmdiffseg.models.referring.localizer import CrossAttentionLocalizer
from mmdiffseg.models.referring.masked_clip import MaskedCLIP
from mmdiffseg.models.referring.positional_bias import PositionalBias
from mmdiffseg.models.referring.proposal_filter import AreaProposalFilter
from mmdiffseg.models.referring.proposers import PrecomputedProposer, WeightFreeProposer
from mmdiffseg.models.referring.ref_diff import RefDiff, Referral
from mmdiffseg.models.referring.root_finder import (
    PrecomputedRootTokenFinder,
    RuleRootTokenFinder,
    SpacyRootTokenFinder,
    auto_root_token_finder,
)
from mmdiffseg.models.referring.sam_proposer import SAMProposer

__all__ = [
    'AreaProposalFilter',
    'CrossAttentionLocalizer',
    'MaskedCLIP',
    'PositionalBias',
    'PrecomputedProposer',
    'PrecomputedRootTokenFinder',
    'RefDiff',
    'RefScoreFusion',
    'Referral',
    'RuleRootTokenFinder',
    'SAMProposer',
    'SpacyRootTokenFinder',
    'WeightFreeProposer',
    'auto_root_token_finder',
    'region_contrast',
]
