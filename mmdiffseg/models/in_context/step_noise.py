"""Noise by name for the schedulers of diffusers, which draw inside their own ``step``."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from mmdiffseg.diffusion.draws import Draws


class StepNoise(TorchFunctionMode):
    """Within this context ``torch.randn`` takes its numbers from draws.

    Args:
        draws: Source of the numbers.
        name: Name of the tensor in it.

    Example:
        >>> with StepNoise(draws, 'step0'):
        ...     z = scheduler.step(output, t, z).prev_sample
    """

    def __init__(self, draws: Draws, name: str) -> None:
        super().__init__()
        self.draws = draws
        self.name = name

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        kwargs = kwargs or {}
        if func is not torch.randn:
            return func(*args, **kwargs)
        (shape,) = args
        noise = self.draws.normal(self.name, shape, device=kwargs['device'])
        return noise.to(kwargs['dtype'])
