"""Coarse masks beside the true ones, made while a refiner trains."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmdiffseg.datasets.coarsen import bend, coarsen
from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DegradeMask(BaseTransform):
    """Make a coarse mask of the true one, by :func:`coarsen` or :func:`bend`; goes after the crop.

    Args:
        iou: Range from which the IoU is drawn below which a mask is worn; SegRefiner has 0.8 and
            CascadePSP 0.8 to 1.
        reference: What the IoU is taken with, see :func:`coarsen`; SegRefiner has ``'polygon'``.
        untouched: Probability that the coarse mask is the true one, so that a refiner learns to
            leave good masks alone.
        bent: Probability that a mask which is not left alone is bent instead of worn.
        ignore_index: Label of the pixels without a class, which are background in a coarse mask.
    """

    def __init__(
        self,
        *,
        iou: tuple[float, float] = (0.6, 1.0),
        reference: str = 'truth',
        untouched: float = 0.0,
        bent: float = 0.0,
        ignore_index: int = 255,
    ) -> None:
        self.iou = iou
        self.reference = reference
        self.untouched = untouched
        self.bent = bent
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Add ``coarse_seg_map``, (H, W) uint8 of 0 and 1."""
        rng = np.random.default_rng(np.random.randint(2**31))
        truth = results['gt_seg_map']
        coarse = ((truth != 0) & (truth != self.ignore_index)).astype(np.uint8)
        if rng.random() >= self.untouched:
            # a value of 0 would be refused, and rounding may reach it
            iou = max(rng.uniform(*self.iou), 1e-3)
            if self.bent and rng.random() < self.bent:
                coarse = bend(coarse, rng, iou=iou)
            else:
                coarse = coarsen(coarse, rng, iou=iou, reference=self.reference)
        results['coarse_seg_map'] = coarse
        results['seg_fields'].append('coarse_seg_map')
        return results

    def __repr__(self) -> str:
        return (
            f'DegradeMask(iou={self.iou}, reference={self.reference!r}, '
            f'untouched={self.untouched}, bent={self.bent})'
        )


@TRANSFORMS.register_module()
class PackRefineInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` with the coarse mask as ``coarse_sem_seg``."""

    def __init__(self) -> None:
        super().__init__()

    def transform(self, results: dict) -> dict:
        """Pack one image; the data sample has ``coarse_sem_seg`` (1, H, W), int64."""
        packed = super().transform(results)
        coarse = torch.from_numpy(results['coarse_seg_map'].astype(np.int64))[None]
        packed['data_samples'].coarse_sem_seg = PixelData(data=coarse)
        return packed

    def __repr__(self) -> str:
        return 'PackRefineInputs()'
