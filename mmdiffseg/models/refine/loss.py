"""The texture loss of SegRefiner."""

import torch
import torch.nn.functional as F
from torch import Tensor


def texture(masks: Tensor) -> Tensor:
    """Strength of the edges of soft masks (B, 1, H, W), same shape; 0.01 where there are none.

    The gradient of the mean over 3 x 3 pixels, by Sobel's filters. Beyond its border a mask is 0.
    """
    smooth = F.avg_pool2d(masks, 3, stride=1, padding=1)
    across = smooth.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    filters = torch.stack([across, across.T])[:, None]  # (2, 1, 3, 3)
    gradient = F.conv2d(smooth, filters, padding=1)  # (B, 2, H, W)
    return (gradient.square().sum(dim=1, keepdim=True) + 1e-4).sqrt()


def texture_loss(probs: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute difference of the edges of soft masks and of true ones.

    Args:
        probs: Soft masks (B, 1, H, W) in [0, 1].
        target: True masks, same shape, of 0 and 1.
        valid: Pixels that count, same shape, bool; others hold no object in either mask.
    """
    difference = (texture(probs * valid) - texture(target * valid)).abs()
    return (difference * valid).sum() / valid.sum().clamp(min=1)
