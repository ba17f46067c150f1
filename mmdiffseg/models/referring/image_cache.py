"""Results that depend on an image and on no sentence, kept so that they are computed once."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from numpy.typing import NDArray
from torch import Tensor


@dataclass
class CachedImage:
    """An image and what was computed from it so far.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        name: File name, or an empty string.
        key: A name for its content.
        moments: Mean and standard deviation of its latents (2, C, h, w).
        proposals: Masks (N, H, W) and which of them to keep (N,), both bool.
        regions: CLIP's features (n, C) of the kept masks, by view and bright side.
    """

    pixels: NDArray
    name: str
    key: str
    moments: Tensor | None = None
    proposals: tuple[Tensor, Tensor] | None = None
    regions: dict[tuple[str, str | None], Tensor] = field(default_factory=dict)


class ImageCache:
    """The images that were asked for most recently.

    Args:
        images: How many to keep; with 0, every call starts anew.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self._kept = OrderedDict()

    def get(self, pixels: NDArray, name: str) -> CachedImage:
        """Look up an image (H, W, 3) uint8 RGB by its content and file name."""
        key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        image = self._kept.pop((key, name), None) or CachedImage(pixels, name, key)
        self._kept[key, name] = image
        while len(self._kept) > self.images:
            self._kept.popitem(last=False)
        return image
