"""A map that chains start from instead of pure noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Start:
    """A map that somebody made; a chain starts from its corruption at a time before the noisiest.

    A head takes it as labels or class probabilities of the B images, at any size; a sampler as its
    head has encoded it, one row for each chain.

    Args:
        map: Labels (B, h, w), class probabilities (B, K, h, w), or encoded maps (G B, C, h, w).
        strength: Where in its range of times the chain starts, in (0, 1]. At 1 it starts from pure
            noise, and nothing but the pixels to ``keep`` is read from the map.
        keep: Pixels (B, h, w), bool, that the map is right about: at every step they are set to
            the map, corrupted to the time of the step. None keeps none.

    Raises:
        ValueError: ``strength`` is no number in its range, or ``keep`` has another shape than the
            map.

    Example:
        >>> start = Start(map=labels, strength=0.3)
        >>> head.predict(features, metas, {}, steps=3, start=start)
    """

    map: Tensor
    strength: float = 1.0
    keep: Tensor | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.strength, Real) and 0 < self.strength <= 1):
            raise ValueError(f'strength must lie in (0, 1], got {self.strength!r}')
        expected = (len(self.map), *self.map.shape[-2:])
        if self.keep is not None and tuple(self.keep.shape) != expected:
            raise ValueError(
                f'the pixels to keep have the shape {tuple(self.keep.shape)}, but the map needs '
                f'{expected}'
            )

    def select(self, rows: Sequence[int]) -> Start:
        """The maps of some rows, in this order; a row may be named several times."""
        rows = torch.as_tensor(list(rows), device=self.map.device)
        keep = None if self.keep is None else self.keep[rows]
        return replace(self, map=self.map[rows], keep=keep)

    def put_kept(self, z: Tensor, known: Callable[[], Tensor]) -> Tensor:
        """Set the pixels to keep of maps z (B, C, h, w) to those of maps made where any are."""
        return z if self.keep is None else torch.where(self.keep[:, None], known(), z)


def class_probabilities(labels: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """One for the class of labels (B, h, w); 1 / K for all where it is ignored: (B, K, h, w)."""
    known = labels != ignore_index
    classes = F.one_hot(labels.long().masked_fill(~known, 0), num_classes).permute(0, 3, 1, 2)
    return torch.where(known[:, None], classes.float(), 1 / num_classes)


def resize_start(start: Start, size: tuple[int, int]) -> Start:
    """Resize class probabilities and the pixels to keep to (h, w), by areas.

    A place is kept if one of its pixels is, with the probabilities of those alone.
    """
    probs, keep = start.map, start.keep
    if probs.shape[-2:] == torch.Size(size):
        return start
    resized = F.interpolate(probs, size, mode='area')
    if keep is not None:
        weight = keep[:, None].to(probs)
        share = F.interpolate(weight, size, mode='area')
        of_kept = F.interpolate(probs * weight, size, mode='area') / share.clamp(min=1e-12)
        keep = share[:, 0] > 0
        resized = torch.where(keep[:, None], of_kept, resized)
    return replace(start, map=resized, keep=keep)
