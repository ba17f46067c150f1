"""Damage pictures as cameras, networks and weather do, to see what a model makes of it."""

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mmdiffseg.diffusion.draws import sample_generator
from mmdiffseg.registry import TRANSFORMS

#: by strength 1 ... 5: standard deviation in pixels, the same in grey levels, quality, factor
STRENGTHS = dict(
    blur=(0.5, 1, 2, 3, 5),
    noise=(5, 10, 20, 35, 60),
    jpeg=(60, 40, 25, 15, 8),
    brightness=(0.8, 0.65, 0.5, 0.35, 0.2),
)


@TRANSFORMS.register_module()
class Corrupt(BaseTransform):
    """Blur, add noise, compress or darken a picture, the same way whenever it is read.

    After ``LoadImageFromFile``, before any resize.

    Args:
        kind: ``'blur'`` (Gaussian), ``'noise'`` (Gaussian, seeded by the name of the picture),
            ``'jpeg'`` or ``'brightness'`` (darker).
        strength: From 1, hardly visible, to 5.

    Example:
        >>> pipeline.insert(1, dict(type='mmdiffseg.Corrupt', kind='blur', strength=3))
    """

    def __init__(self, *, kind: str, strength: int) -> None:
        if kind not in STRENGTHS:
            raise ValueError(f'kind must be one of {tuple(STRENGTHS)}, got {kind!r}')
        if strength not in range(1, 6):
            raise ValueError(f'strength must be a whole number from 1 to 5, got {strength!r}')
        self.kind = kind
        self.strength = strength

    def transform(self, results: dict) -> dict:
        """Change `img`, (H, W, 3) uint8.

        Raises:
            ValueError: The picture does not have 8 bits.
        """
        picture, path = results['img'], results.get('img_path') or ''
        if picture.dtype != np.uint8:
            raise ValueError(f'{path} is {picture.dtype}: only pictures of 8 bits can be corrupted')
        amount = STRENGTHS[self.kind][self.strength - 1]
        results['img'] = getattr(self, f'_{self.kind}')(picture, amount, path)
        return results

    @staticmethod
    def _blur(picture: NDArray, amount: float, path: str) -> NDArray:
        return cv2.GaussianBlur(picture, (0, 0), amount)

    @staticmethod
    def _noise(picture: NDArray, amount: float, path: str) -> NDArray:
        name = path.replace('\\', '/').rsplit('/', 1)[-1]
        noise = torch.randn(picture.shape, generator=sample_generator(0, f'noise/{name}')).numpy()
        return np.clip(np.rint(picture + amount * noise), 0, 255).astype(np.uint8)

    @staticmethod
    def _jpeg(picture: NDArray, amount: int, path: str) -> NDArray:
        _, code = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, amount])
        return cv2.imdecode(code, cv2.IMREAD_UNCHANGED)

    @staticmethod
    def _brightness(picture: NDArray, amount: float, path: str) -> NDArray:
        return np.rint(picture * amount).astype(np.uint8)

    def __repr__(self) -> str:
        return f'Corrupt(kind={self.kind!r}, strength={self.strength})'
