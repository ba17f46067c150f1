"""Direction words as a ramp over the image ('positional bias' in Ref-Diff's paper)."""

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
    """Reads a direction from a text, and dims what lies on the other side.

    Args:
        directions: Words to look for, the first that occurs wins. The released code knows left and
            right; the paper names top and bottom as well.
        word_boundary: Take whole words of any case only. The released code finds 'right' in
            'bright' and no 'Left'.
        on: What is dimmed: the crops that CLIP sees (``'hard'``, released), the image it sees with
            masked attention (``'soft'``, paper), the attention map (``'heat'``).

    Raises:
        ValueError: A direction or target that there is not.
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
        """The direction that a text names, if any."""
        for word in self.directions:
            if re.search(rf'(?i)\b{word}\b', text) if self.word_boundary else word in text:
                return word
        return None

    def sides(self, text: str) -> dict[str, str | None]:
        """For each possible target, the side on which a text wants it bright, if any."""
        direction = self.direction(text)
        return {target: direction if target in self.on else None for target in TARGETS}


def dimmed(image: NDArray, direction: str | None) -> NDArray:
    """An image (H, W, 3) uint8 under the ramp of a direction, cut off to uint8."""
    if direction is None:
        return image
    return (image * ramp(direction, *image.shape[:2])[..., None]).astype(np.uint8)
