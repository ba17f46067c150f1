"""Masks drawn from instances."""

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as coco_mask

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadInstanceUnion(BaseTransform):
    """Draw a mask from instances: those of a class, or the ones whose ids are named.

    For ``InstanceMaskDataset``, as a source of episodes, and ``RefCOCODataset``.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map``, (H, W) uint8 of 0 and 1.

        Raises:
            ValueError: The image has another size than its annotations say.
        """
        height, width = results['size']
        if results['ori_shape'] != (height, width):
            raise ValueError(
                f'{results["img_path"]} is {results["ori_shape"][1]}x{results["ori_shape"][0]} and '
                f'its annotations say {width}x{height}: the annotations belong to another image.'
            )
        mask = np.zeros((height, width), np.uint8)
        ids = results.get('instance_ids')
        for instance in results['instances']:
            if (
                instance['class_id'] == results['class_id']
                if ids is None
                else instance['id'] in ids
            ):
                mask |= coco_mask.decode(compress(instance['segmentation'], height, width))
        results['gt_seg_map'] = mask
        results['seg_fields'].append('gt_seg_map')
        return results


def compress(segmentation: list | dict, height: int, width: int) -> dict:
    """Compressed run lengths of polygons, or of run lengths of either kind."""
    if isinstance(segmentation, list):  # polygons
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation['counts'], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation
