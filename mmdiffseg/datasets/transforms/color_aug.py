"""Colour augmentation for depth."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ColorAug(BaseTransform):
    """Gamma, brightness and colour as the common depth recipes change them (BTS, AdaBins, DDP).

    An image of values v in [0, 255] becomes brightness * colour * v^gamma, cut off at 0 and 255.

    Args:
        prob: How often.
        gamma_range: The exponent is drawn from it.
        brightness_range: The factor of the image is drawn from it.
        color_range: So is the factor of each channel.
    """

    def __init__(
        self,
        *,
        prob: float = 0.5,
        gamma_range: tuple[float, float] = (0.9, 1.1),
        brightness_range: tuple[float, float] = (0.9, 1.1),
        color_range: tuple[float, float] = (0.9, 1.1),
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must lie in [0, 1], got {prob}')
        for low, high in (gamma_range, brightness_range, color_range):
            if not 0 < low <= high:
                raise ValueError(f'a range must be (low, high), 0 < low <= high, got {low, high}')
        self.prob = prob
        self.gamma_range = gamma_range
        self.brightness_range = brightness_range
        self.color_range = color_range

    def transform(self, results: dict) -> dict:
        """Change `img`, (H, W, 3), to float32 in [0, 255]."""
        if np.random.rand() < self.prob:
            gamma = np.random.uniform(*self.gamma_range)
            brightness = np.random.uniform(*self.brightness_range)
            color = np.random.uniform(*self.color_range, size=3)
            image = results['img'].astype(np.float32) ** np.float32(gamma)
            results['img'] = (image * (brightness * color).astype(np.float32)).clip(0, 255)
        return results

    def __repr__(self) -> str:
        return (
            f'ColorAug(prob={self.prob}, gamma_range={self.gamma_range}, '
            f'brightness_range={self.brightness_range}, color_range={self.color_range})'
        )
