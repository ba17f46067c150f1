"""Transforms that reduce the labels of a picture to the mask of one concept.

They go right after the loading of the labels. ``InContextDataset`` sets ``class_id``. Afterwards
``gt_seg_map`` (H, W) holds 1 for the concept, 255 where pixels do not count and 0 elsewhere.
"""

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mmdiffseg.datasets.pictures import check_same_size
from mmdiffseg.registry import TRANSFORMS

IGNORED = 255


def _labels(results: dict) -> NDArray[np.uint8]:
    labels = results['gt_seg_map']
    check_same_size(results, labels, what=f'its labels {results["seg_map_path"]} are')
    return labels


@TRANSFORMS.register_module()
class SelectClass(BaseTransform):
    """Keep one class; pixels of 255 stay ignored."""

    def transform(self, results: dict) -> dict:
        """Reduce ``gt_seg_map``, class ids (H, W), to one class.

        Raises:
            ValueError: The labels differ from the image in size.
        """
        labels = _labels(results)
        mask = (labels == results['class_id']).astype(np.uint8)
        mask[labels == IGNORED] = IGNORED
        results['gt_seg_map'] = mask
        return results


@TRANSFORMS.register_module()
class SelectObject(BaseTransform):
    """Take the object of a black and white mask, or of the first channel of a colour mask.

    Args:
        threshold: Least value of the pixels of the object. Masks of DAVIS have 255; those of
            FSS-1000 have grey outlines and are cut at 128.
    """

    def __init__(self, *, threshold: int = 255) -> None:
        self.threshold = threshold

    def transform(self, results: dict) -> dict:
        """Reduce ``gt_seg_map``, (H, W) or (H, W, C), to the object.

        Raises:
            ValueError: The mask differs from the image in size.
        """
        mask = _labels(results)
        mask = mask[..., 0] if mask.ndim == 3 else mask
        results['gt_seg_map'] = (mask >= self.threshold).astype(np.uint8)
        return results


@TRANSFORMS.register_module()
class SelectVideoClass(BaseTransform):
    """Keep one class of a video; pixels of 255 become background, as in LDIS' released code.

    Args:
        keep_labels: Keep the labels of all classes in ``gt_class_map``, which
            ``VideoClassIoUMetric`` needs. Transforms that change the size must then come before
            this one.
    """

    def __init__(self, *, keep_labels: bool = False) -> None:
        self.keep_labels = keep_labels

    def transform(self, results: dict) -> dict:
        """Reduce ``gt_seg_map``, class ids (H, W), to one class.

        Raises:
            ValueError: The labels differ from the image in size.
        """
        labels = _labels(results)
        if self.keep_labels:
            results['gt_class_map'] = labels
        results['gt_seg_map'] = (labels == results['class_id']).astype(np.uint8)
        return results
