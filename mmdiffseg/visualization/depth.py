"""Pictures of depth maps."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from numpy.typing import NDArray

UNMEASURED = (90, 94, 102)


def depth_picture(
    depth: NDArray, limits: tuple[float, float], *, colormap: str = 'turbo_r'
) -> NDArray:
    """Colour a depth map, equal ratios of depth by equal steps.

    Args:
        depth: Depths (H, W) in metres; 0, where nothing was measured, is grey.
        limits: Nearest and farthest depth to tell apart, in metres.
        colormap: Name of a matplotlib colour map, from near to far.

    Returns:
        Picture (H, W, 3), uint8 RGB.
    """
    near, far = np.log(limits)
    share = (np.log(depth.clip(min=limits[0])) - near) / max(far - near, 1e-6)
    picture = matplotlib.colormaps[colormap](share.clip(0, 1))[..., :3] * 255
    picture[depth <= 0] = UNMEASURED
    return picture.astype(np.uint8)


def depth_colours(
    limits: tuple[float, float], *, colormap: str = 'turbo_r', count: int = 6
) -> dict[str, Sequence[int]]:
    """A legend: the colours that :func:`depth_picture` gives to ``count`` depths."""
    depths = np.geomspace(*limits, count)
    colours = depth_picture(depths[None], limits, colormap=colormap)[0].tolist()
    return {f'{depth:.3g} m': colour for depth, colour in zip(depths, colours, strict=True)}


def relative_error(pred: NDArray, gt: NDArray) -> NDArray:
    """Error over the true depth, (H, W); 0 where nothing was measured.

    Args:
        pred: Predicted depths (H, W) in metres.
        gt: True depths (H, W), 0 where nothing was measured.
    """
    measured = gt > 0
    return np.where(measured, np.abs(pred - gt) / np.where(measured, gt, 1), 0)
