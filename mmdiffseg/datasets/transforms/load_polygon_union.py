"""Masks drawn from polygons."""

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageDraw

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPolygonUnion(BaseTransform):
    """Draw the mask of a phrase of PhraseCut from its polygons.

    As in the evaluation of Global-Local CLIP: corners are cut to whole pixels, and the outline
    belongs to the mask.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map``, (H, W) uint8 of 0 and 1, from ``polygons``, lists of (x, y)."""
        height, width = results['ori_shape']
        mask = Image.new('L', (width, height))
        draw = ImageDraw.Draw(mask)
        for polygon in results['polygons']:
            draw.polygon([(int(x), int(y)) for x, y in polygon], outline=1, fill=1)
        results['gt_seg_map'] = np.array(mask)
        results['seg_fields'].append('gt_seg_map')
        return results
