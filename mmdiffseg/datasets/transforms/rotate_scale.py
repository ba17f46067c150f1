"""Random rotation and scaling."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomRotateScale(BaseTransform):
    """Rotate and scale image and labels about their centre.

    What comes in from outside is black and class 0, as in the authors' recipes (SegDiff). The image
    is interpolated bilinearly by Pillow, the labels take the nearest.

    Args:
        degrees: Range that the angle is drawn from.
        scale: Range that the factor is drawn from.
    """

    def __init__(self, *, degrees: Sequence[float], scale: Sequence[float]) -> None:
        from torchvision.transforms import RandomAffine  # takes long, and few pipelines need it

        self.ranges = RandomAffine(degrees, scale=scale)

    def transform(self, results: dict) -> dict:
        """Change `img`, (H, W, 3) uint8, and the labels, (H, W) uint8; sizes stay."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.functional import affine

        height, width = results['img'].shape[:2]
        draw = self.ranges.get_params(
            self.ranges.degrees, None, self.ranges.scale, None, [width, height]
        )
        for key in ('img', *results.get('seg_fields', [])):
            mode = InterpolationMode.BILINEAR if key == 'img' else InterpolationMode.NEAREST
            picture = Image.fromarray(results[key])
            results[key] = np.array(affine(picture, *draw, interpolation=mode, fill=0))
        return results

    def __repr__(self) -> str:
        return f'RandomRotateScale(degrees={self.ranges.degrees}, scale={self.ranges.scale})'
