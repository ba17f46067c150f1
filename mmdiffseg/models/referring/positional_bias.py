"""Direction words as a ramp over the image: the positional bias of Ref-Diff's paper."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.registry import TASK_UTILS

DIRECTIONS = ('left', 'right', 'top', 'bottom')
TARGETS = ('hard', 'soft', 'heat')


def ramp(direction: str, height: int, width: int) -> NDArray:
    """Weights (H, W) in [0, 1], from 1 on the named side down to 0 after two thirds of the way."""
    length = width if direction in ('left', 'right') else height
    slope = length * 2 // 3
    weights = np.concatenate([np.linspace(1, 0, slope), np.zeros(length - slope)])
    if direction in ('right', 'bottom'):
        weights = weights[::-1]
    weights = weights[None] if direction in ('left', 'right') else weights[:, None]
    return np.ascontiguousarray(np.broadcast_to(weights, (height, width)))


@TASK_UTILS.register_module()
class PositionalBias:
    """Reads a direction from a sentence, and dims the other side.

    Example:
        >>> PositionalBias(on=('heat',)).side('the man on the left', 'heat')
        'left'

    Args:
        directions: Words to look for; the first one that occurs wins. The released code knows left
            and right; the paper names top and bottom as well.
        word_boundary: Match whole words only, in upper or lower case. The released code finds
            'right' in 'bright', and does not find 'Left'.
        on: What to dim: the crops that CLIP sees (``'hard'``, released), the image that CLIP sees
            with masked attention (``'soft'``, paper), or the attention map (``'heat'``).

    Raises:
        ValueError: A direction or target is unknown.
    """

    def __init__(
        self,
        *,
        directions: Sequence[str] = ('left', 'right'),
        word_boundary: bool = False,
        on: Sequence[str] = ('hard',),
    ) -> None:
        for name, known, given in (('directions', DIRECTIONS, directions), ('on', TARGETS, on)):
            if isinstance(given, str) or not set(given) <= set(known):
                raise ValueError(f'{name} must be some of {known}, got {given!r}')
        self.directions = directions
        self.word_boundary = word_boundary
        self.on = on

    def direction(self, text: str) -> str | None:
        """The direction that a sentence names, if any."""
        for word in self.directions:
            if re.search(rf'(?i)\b{word}\b', text) if self.word_boundary else word in text:
                return word
        return None

    def side(self, text: str, target: str) -> str | None:
        """The side of a target that stays bright, None if nothing of it is dimmed."""
        return self.direction(text) if target in self.on else None


def dimmed(image: NDArray, direction: str | None) -> NDArray:
    """Multiply an image (H, W, 3) uint8 by the ramp of a direction, truncated to uint8."""
    if direction is None:
        return image
    return (image * ramp(direction, *image.shape[:2])[..., None]).astype(np.uint8)
