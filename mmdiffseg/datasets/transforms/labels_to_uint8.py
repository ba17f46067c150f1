"""Label maps in 8 bits."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LabelsToUint8(BaseTransform):
    """Store ``gt_seg_map`` in 8 bits, which is what Pillow can resize.

    mmdet's ``LoadPanopticAnnotations`` leaves it in 32.
    """

    def transform(self, results: dict) -> dict:
        """Convert the map.

        Raises:
            ValueError: A label is above 255.
        """
        labels = results['gt_seg_map']
        if labels.max() > 255:
            raise ValueError(f'label {labels.max()} does not fit into 8 bits')
        results['gt_seg_map'] = labels.astype(np.uint8)
        return results
