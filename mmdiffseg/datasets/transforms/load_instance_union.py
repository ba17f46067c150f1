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
    """Compressed run lengths of polygons, or of run lengths of either kind.

    Raises:
        ValueError: The run lengths are of another number of pixels; pycocotools would go on with
            whatever the memory holds.
    """
    if isinstance(segmentation, list):  # polygons
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    check_run_lengths(segmentation, height, width)
    if isinstance(segmentation['counts'], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def check_run_lengths(segmentation: dict, height: int, width: int) -> None:
    """Refuse run lengths of another number of pixels than the image has.

    Raises:
        ValueError: They are; COCO's tools would go on with whatever the memory holds, or for ever.
    """
    counts = segmentation['counts']
    total = sum(counts if isinstance(counts, list) else _run_lengths(counts))
    if total != height * width:
        raise ValueError(
            f'the run lengths of a mask add up to {total} pixels, its image has '
            f'{width}x{height}: the annotations are damaged or belong to another image.'
        )


def _run_lengths(text: str | bytes) -> list[int]:
    """Read COCO's compressed run lengths.

    Digits of base 32, the lowest first, from the character `0` on: bit 5 says that another digit
    follows, bit 4 of the last one is the sign. From the fourth number on, a number is the
    difference to the second before it.
    """
    runs, value, shift = [], 0, 0
    for character in text.encode() if isinstance(text, str) else text:
        digit = character - 48
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs
