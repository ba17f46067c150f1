"""Heads that diffuse."""

from mmdiffseg.models.heads.ddp_head import DDPHead
from mmdiffseg.models.heads.segdiff_head import SegDiffHead

__all__ = ['DDPHead', 'SegDiffHead']
