"""Decoding of the depth files of SUN RGB-D."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DecodeSUNRGBDDepth(BaseTransform):
    """Decode the depth files of SUN RGB-D; goes after LoadDepthAnnotation without a factor.

    Their 16 bits are millimetres rotated to the left by 3. Results without a depth map pass.
    """

    def transform(self, results: dict) -> dict:
        """Turn `gt_depth_map`, (H, W) of values in [0, 65535], into float32 metres."""
        if 'gt_depth_map' in results:
            bits = results['gt_depth_map'].astype(np.uint16)
            millimetres = (bits >> 3) | (bits << 13)
            results['gt_depth_map'] = millimetres.astype(np.float32) / 1000
        return results

    def __repr__(self) -> str:
        return 'DecodeSUNRGBDDepth()'
