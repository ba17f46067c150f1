"""Resizing without antialiasing."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from mmdiffseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeWithoutAntialias(BaseTransform):
    """Resize as torchvision 0.10 did with uint8 tensors: also a smaller image is only sampled.

    The image is interpolated bilinearly in float32 (``align_corners=False``) and rounded; pixel i
    of the labels is pixel floor(i * in / out). For Pillow's antialiased resize, set
    ``backend='pillow'`` in mmseg's ``Resize``.

    Args:
        scale: Width and height of the result, whatever the aspect ratio was.
    """

    def __init__(self, *, scale: tuple[int, int]) -> None:
        if len(scale) != 2 or any(type(side) is not int or side < 1 for side in scale):
            raise ValueError(f'scale must be (width, height) of at least 1 pixel, got {scale}')
        self.scale = tuple(scale)

    def transform(self, results: dict) -> dict:
        """Change `img`, (H, W, 3) uint8, and the labels that are loaded, (H, W)."""
        height, width = results['img'].shape[:2]
        results['img'] = self._resized(results['img'], mode='bilinear', align_corners=False)
        for key in results.get('seg_fields', []):
            results[key] = self._resized(results[key][..., None], mode='nearest')[..., 0]
        results['img_shape'] = results['img'].shape[:2]
        results['scale'] = self.scale
        results['scale_factor'] = (self.scale[0] / width, self.scale[1] / height)
        results['keep_ratio'] = False
        return results

    def _resized(self, pixels: NDArray, **mode: str | bool) -> NDArray:
        # (H, W, C) -> (1, C, H, W) and back
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float()
        planes = interpolate(planes, self.scale[::-1], **mode)[0].round()
        return np.ascontiguousarray(planes.numpy().transpose(1, 2, 0)).astype(pixels.dtype)

    def __repr__(self) -> str:
        return f'ResizeWithoutAntialias(scale={self.scale})'
