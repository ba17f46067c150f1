"""Pack an image with the label maps of its raters."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackRaterInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` with all raters; like it where there are none.

    The names of the raters and their weights, if they have some, become metainfo.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meta_keys = (*self.meta_keys, 'raters', 'rater_weights')

    def transform(self, results: dict) -> dict:
        """Pack one image.

        Returns:
            What ``PackSegInputs`` returns; the data sample has ``gt_raters``, (R, H, W) uint8.
        """
        packed = super().transform(results)
        if 'gt_raters' in results:
            # (H, W, R) -> (R, H, W)
            maps = np.ascontiguousarray(results['gt_raters'].transpose(2, 0, 1))
            packed['data_samples'].gt_raters = PixelData(data=torch.from_numpy(maps))
        return packed

    def __repr__(self) -> str:
        return 'PackRaterInputs()'
