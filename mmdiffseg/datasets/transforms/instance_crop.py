"""Crop around one object of an image, and the mask of that object."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as coco_mask

from mmdiffseg.registry import TRANSFORMS


def crop_window(
    bbox: Sequence[float], *, expansion: float, height: int, width: int
) -> tuple[int, int, int, int]:
    """Compute the window around a box by the rule of SegDiff's authors.

    Args:
        bbox: x, y, w and h in pixels; fractions are truncated.
        expansion: Percentage by which the window is larger than the box, split between both sides.
        height: Height of the image in pixels, which bounds the window.
        width: Width of the image in pixels, which bounds the window.

    Returns:
        Left, top, right and bottom in pixels, with halves rounded to even. Right and bottom are
        exclusive. The window of a box outside the image has no pixels.
    """
    x, y, w, h = map(int, bbox)
    margin_x, margin_y = w * expansion / 200, h * expansion / 200
    return (
        round(max(x - margin_x, 0)),
        round(max(y - margin_y, 0)),
        round(min(x + w + margin_x, width)),
        round(min(y + h + margin_y, height)),
    )


@TRANSFORMS.register_module()
class CropInstance(BaseTransform):
    """Crop the image around the object of a `CityscapesInstanceDataset`.

    Goes after LoadImageFromFile. The size of the crop becomes `ori_shape`, to which predictions are
    resized. Results without an object pass unchanged: at inference an image is a crop already.
    """

    def transform(self, results: dict) -> dict:
        """Crop `img` by `expansion`, a percentage or a range (low, high) to draw one from.

        Raises:
            ValueError: The size of the image differs from the size in the list of objects.
        """
        if 'bbox' not in results:
            return results
        height, width = results['img'].shape[:2]
        listed_height, listed_width = results['full_shape']
        if (height, width) != (listed_height, listed_width):
            raise ValueError(
                f'{results["img_path"]} is {width}x{height}, but {listed_width}x{listed_height} in '
                'the list of its objects: take the images that the list was made for.'
            )
        expansion = results['expansion']
        if isinstance(expansion, Sequence):
            low, high = expansion
            expansion = np.random.randint(low, high + 1)
        window = crop_window(results['bbox'], expansion=expansion, height=height, width=width)
        left, top, right, bottom = results['window'] = window
        results['img'] = np.ascontiguousarray(results['img'][top:bottom, left:right])
        results['ori_shape'] = results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return 'CropInstance()'


@TRANSFORMS.register_module()
class LoadInstanceMask(BaseTransform):
    """Rasterise the object of a `CityscapesInstanceDataset` in the window of its crop.

    Goes after `CropInstance`, before the resize in training and after it if the mask is to keep the
    size of the crop. Results without an object pass unchanged.
    """

    def transform(self, results: dict) -> dict:
        """Add `gt_seg_map`, uint8 of 0 and 1: the union of the polygons, rasterised as in COCO."""
        if 'segmentation' not in results:
            return results
        components = coco_mask.frPyObjects(results['segmentation'], *results['full_shape'])
        mask = coco_mask.decode(coco_mask.merge(components))
        left, top, right, bottom = results['window']
        results['gt_seg_map'] = np.ascontiguousarray(mask[top:bottom, left:right])
        results['seg_fields'].append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return 'LoadInstanceMask()'
