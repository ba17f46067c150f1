"""Pictures of maps whose layers may overlap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def layers_picture(layers: NDArray, palette: Sequence[Sequence[int]]) -> NDArray:
    """Mix the colours of all present layers, on white.

    Args:
        layers: Share of each of K classes in a cell (K, h, w), in [0, 1].
        palette: RGB colour of each class.

    Returns:
        The picture (h, w, 3), uint8 RGB.
    """
    colours = np.asarray(palette, np.float32)
    total = layers.sum(axis=0)[..., None]  # (h, w, 1)
    mixed = np.einsum('khw,kc->hwc', layers, colours) / np.maximum(total, 1e-6)
    opacity = layers.max(axis=0)[..., None]
    return (255 * (1 - opacity) + mixed * opacity).astype(np.uint8)
