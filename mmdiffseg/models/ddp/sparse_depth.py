"""Smaller depth maps from sparse ones, in which 0 means that nothing was measured."""

import torch
import torch.nn.functional as F
from torch import Tensor

DOWNSAMPLE_RULES = ('bilinear', 'nearest', 'max', 'masked_avg')


def downsample_depth(depth: Tensor, size: tuple[int, int], rule: str) -> Tensor:
    """Resize a depth map.

    Args:
        depth: Depths (B, 1, H, W) in metres, 0 where nothing was measured.
        size: Height h and width w of the result.
        rule: ``bilinear`` mixes the zeros in (the released code), ``nearest`` takes one pixel,
            ``max`` the largest depth of each cell, ``masked_avg`` the mean of the measured ones.

    Returns:
        Depths (B, 1, h, w), 0 where a cell holds no measurement.
    """
    if rule == 'bilinear':
        return F.interpolate(depth, size, mode='bilinear', align_corners=False)
    if rule == 'nearest':
        return F.interpolate(depth, size, mode='nearest')
    if rule == 'max':
        return F.adaptive_max_pool2d(depth, size)
    share = F.adaptive_avg_pool2d((depth > 0).to(depth), size)
    mean = F.adaptive_avg_pool2d(depth, size)
    return torch.where(share > 0, mean / share, 0.0)
