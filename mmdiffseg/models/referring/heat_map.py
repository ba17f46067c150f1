"""Between a picture and the square that Stable Diffusion sees."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

RESIZES = ('lanczos_u8', 'bilinear')


def square_image(image: NDArray, size: int) -> Tensor:
    """Centre an image on a black square and resize it.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Side S of the result.

    Returns:
        (1, 3, S, S) in [-1, 1].
    """
    height, width = image.shape[:2]
    side = max(height, width)
    square = Image.new('RGB', (side, side))
    square.paste(Image.fromarray(image), ((side - width) // 2, (side - height) // 2))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS), dtype=np.float32)
    # (S, S, 3) -> (1, 3, S, S)
    return torch.from_numpy(pixels * 2 / 255 - 1).permute(2, 0, 1)[None].contiguous()


def stretched(maps: Tensor) -> Tensor:
    """Stretch each map (..., h, w) so that its minimum is 0 and its maximum 1."""
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low)


def picture_heat(maps: Tensor, height: int, width: int, *, resize: str = 'lanczos_u8') -> Tensor:
    """Make the heat map of a picture from the attention maps of one sentence.

    Args:
        maps: Attention (M, g, g) over the square of :func:`square_image`.
        height: Height of the picture.
        width: Width of the picture.
        resize: ``'lanczos_u8'`` (released) stretches every map to [0, 1], truncates their mean to
            8 bits and resizes it by Lanczos; ``'bilinear'`` (paper) resizes the mean of the maps.

    Returns:
        (H, W) float64 in [0, 1), on the CPU.
    """
    side = max(height, width)
    if resize == 'lanczos_u8':
        mean = stretched(maps).mean(dim=0).cpu().numpy()  # (g, g)
        levels = Image.fromarray((mean * 255).astype(np.uint8))
        square = np.asarray(levels.resize((side, side), Image.Resampling.LANCZOS)) / 255
        heat = torch.from_numpy(square)
    else:
        mean = maps.mean(dim=0)[None, None].double().cpu()  # (1, 1, g, g)
        heat = F.interpolate(mean, size=(side, side), mode='bilinear', align_corners=False)[0, 0]
    top, left = (side - height) // 2, (side - width) // 2
    heat = heat[top : top + height, left : left + width]
    return (heat - heat.min()) / (heat.max() - heat.min() + 1e-8)
