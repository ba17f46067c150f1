"""Coarse masks of a test set, made of the true ones as some source would make them."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.datasets.mask_sources import SOURCES
from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ImitateSource(BaseTransform):
    """Make a coarse mask of the true one without any randomness; goes after its loader.

    Args:
        source: One of :data:`mmdiffseg.datasets.mask_sources.SOURCES`.
        ignore_index: Label of the pixels without a class, which are background in a coarse mask.
    """

    def __init__(self, *, source: str, ignore_index: int = 255) -> None:
        if source not in SOURCES:
            raise ValueError(f'source must be one of {tuple(SOURCES)}, got {source!r}')
        self.source = source
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Add ``coarse_seg_map``, (H, W) uint8 of 0 and 1."""
        truth = results['gt_seg_map']
        coarse = SOURCES[self.source]((truth != 0) & (truth != self.ignore_index))
        results['coarse_seg_map'] = coarse.astype(np.uint8)
        results['seg_fields'].append('coarse_seg_map')
        return results

    def __repr__(self) -> str:
        return f'ImitateSource(source={self.source!r})'
