"""Necks."""

from mmdiffseg.models.necks.multi_stage_merging import MultiStageMerging

__all__ = ['MultiStageMerging']
