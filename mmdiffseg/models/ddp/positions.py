"""Where the tokens of a feature map lie: sine encodings and reference points."""

import math

import torch
from torch import Tensor


def _sine(length: int, features: int, device: torch.device) -> Tensor:
    # cell centres (the reference's offset -0.5), spread over (0, 2 pi)
    position = (torch.arange(length, device=device) + 0.5) / (length + 1e-6) * 2 * math.pi
    k = torch.arange(features, device=device)
    wavelength = 10000 ** (2 * k.div(2, rounding_mode='floor') / features)
    angle = position[:, None] / wavelength  # (length, features)
    return torch.where(k % 2 == 0, angle.sin(), angle.cos())


def sine_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """DETR's sine encoding of a full map, (1, height * width, channels), tokens row by row.

    The first half of the channels encodes y, the second x. Equal to mmdet's
    ``SinePositionalEncoding(normalize=True, offset=-0.5)``, built from one row and one column.
    """
    y = _sine(height, channels // 2, device)[:, None].expand(-1, width, -1)
    x = _sine(width, channels // 2, device)[None].expand(height, -1, -1)
    return torch.cat([y, x], dim=-1).flatten(0, 1)[None]  # (h, w, C) -> (1, h * w, C)


def reference_points(height: int, width: int, device: torch.device) -> Tensor:
    """Centre (x, y) of every cell in [0, 1], (1, height * width, 1, 2) for one feature level."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    y, x = torch.meshgrid(y, x, indexing='ij')
    return torch.stack([x, y], dim=-1).view(1, height * width, 1, 2)
