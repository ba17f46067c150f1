"""The random tensors of one step, given or drawn."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmdiffseg.diffusion.randomness import Generators, randn


class Draws:
    """Random tensors by name: those that are given, the others drawn in the order asked for.

    Args:
        given: Tensors to use instead of drawn ones.
        generator: Draws the others: one for all rows, one for each, or None for torch's own.
        device: Where the tensors live.
    """

    def __init__(
        self,
        given: Mapping[str, Tensor] | None = None,
        *,
        generator: Generators = None,
        device: torch.device | None = None,
    ) -> None:
        self.given = given or {}
        self.generator = generator
        self.device = device

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        """Standard normal float32 numbers of a shape (B, ...)."""
        if name in self.given:
            return self.given[name].to(self.device)
        return randn(shape, generator=self.generator, device=self.device)

    def uniform(self, name: str, count: int) -> Tensor:
        """Numbers (B,) in [0, 1)."""
        if name in self.given:
            return self.given[name].to(self.device)
        return torch.rand(count, generator=self.generator, device=self.device)

    def integers(self, name: str, low: int, high: int, count: int) -> Tensor:
        """Integers (B,) in [low, high)."""
        if name in self.given:
            return self.given[name].to(self.device)
        generators = self.generator
        if generators is None or isinstance(generators, torch.Generator):
            return torch.randint(low, high, (count,), generator=generators, device=self.device)
        rows = [torch.randint(low, high, (1,), generator=g, device=self.device) for g in generators]
        return torch.cat(rows)
