"""One instance of a picture, drawn at random."""

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as coco_mask

from mmdiffseg.datasets.transforms.load_instance_union import compress
from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DrawInstance(BaseTransform):
    """Draw one instance of a picture of an ``InstanceMaskDataset``; before ``LoadInstanceUnion``.

    A picture without an instance large enough gives way to another one.

    Args:
        min_area: Pixels that an instance must have.
    """

    def __init__(self, *, min_area: int = 512) -> None:
        self.min_area = min_area

    def transform(self, results: dict) -> dict | None:
        """Add ``instance_ids``, the id of one instance; None if there is none."""
        size = results['size']
        large = [
            instance['id']
            for instance in results['instances']
            if coco_mask.area(compress(instance['segmentation'], *size)) > self.min_area
        ]
        if not large:
            return None
        results['instance_ids'] = [int(np.random.choice(large))]
        return results

    def __repr__(self) -> str:
        return f'DrawInstance(min_area={self.min_area})'
