"""What was computed of the last few images, so that further sentences need not compute it again."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from numpy.typing import NDArray

T = TypeVar('T')


def image_key(image: NDArray) -> str:
    """A name for an image by its content."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


class ImageCache:
    """Results of the images that were asked for last.

    Args:
        images: Images to remember; with 0, every result is computed anew.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self._results = OrderedDict()

    def get(self, image: str, name: Hashable, compute: Callable[[], T]) -> T:
        """Result ``name`` of an image, computed at the first call."""
        results = self._results.setdefault(image, {})
        self._results.move_to_end(image)
        while len(self._results) > self.images:
            self._results.popitem(last=False)
        if name not in results:
            results[name] = compute()
        return results[name]
