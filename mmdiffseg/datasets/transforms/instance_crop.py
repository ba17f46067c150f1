"""The crop around one object of an image, and the mask of that object; pixels, x before y."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as coco_mask

from mmdiffseg.registry import TRANSFORMS


def crop_window(
    bbox: Sequence[float], *, expansion: float, height: int, width: int
) -> tuple[int, int, int, int]:
    """The window of a box as the authors of SegDiff cut it.

    Args:
        bbox: x, y, w and h, which are truncated to integers.
        expansion: Percentage by which the window is larger than the box, half of it on either side.
        height: Of the image; the window ends there.
        width: Likewise.

    Returns:
        Left, top, right and bottom, halves rounded to even; right and bottom are exclusive. A box
        outside of the image leaves a window without pixels.
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

    Goes after LoadImageFromFile. The crop becomes the original that predictions are resized to.
    Results without an object pass: an image to run inference on is such a crop already.
    """

    def transform(self, results: dict) -> dict:
        """Crop `img`; `expansion` is a percentage, or two that the one to use is drawn between.

        Raises:
            ValueError: The image has another size than its list of objects says.
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

    Goes after `CropInstance`: before the resize in training, after it where the mask shall keep the
    crop's size. Results without an object pass.
    """

    def transform(self, results: dict) -> dict:
        """Add `gt_seg_map`, uint8 of 0 and 1: the union of the components, as COCO fills them."""
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
