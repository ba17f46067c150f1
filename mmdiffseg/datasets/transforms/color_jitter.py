"""Colour jitter on Pillow images."""

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """torchvision's `ColorJitter` on a Pillow image: four changes in random order.

    Args:
        brightness: The factor is drawn from [max(0, 1 - brightness), 1 + brightness].
        contrast: Range of the contrast factor, as for ``brightness``.
        saturation: Range of the saturation factor, as for ``brightness``.
        hue: The shift is drawn from [-hue, hue], as a fraction of the colour circle; at most 0.5.
    """

    def __init__(
        self,
        *,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        import torchvision  # takes long, and few pipelines need it

        self.jitter = torchvision.transforms.ColorJitter(brightness, contrast, saturation, hue)

    def transform(self, results: dict) -> dict:
        """Change `img`, (H, W, 3) uint8 BGR."""
        picture = Image.fromarray(results['img'][..., ::-1])
        results['img'] = np.ascontiguousarray(np.array(self.jitter(picture))[..., ::-1])
        return results

    def __repr__(self) -> str:
        return repr(self.jitter)
