"""Heads that diffuse."""

from mmdiffseg.models.heads.ddp_head import DDPHead

__all__ = ['DDPHead']
