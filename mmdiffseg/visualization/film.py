"""Denoising films."""

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray
from PIL import Image


def write_film(
    path: str | Path, frames: Sequence[NDArray], *, seconds: float = 0.4, hold: float = 2.0
) -> None:
    """Write an endless GIF.

    Args:
        path: The file, ending in ``.gif``.
        frames: Pictures (H, W, 3) uint8 RGB of one size, in order.
        seconds: How long each frame is shown.
        hold: How long the last one is.
    """
    images = [Image.fromarray(frame) for frame in frames]
    durations = [round(1000 * seconds)] * (len(images) - 1) + [round(1000 * hold)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)
