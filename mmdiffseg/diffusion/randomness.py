"""Noise that belongs to the sample it is drawn for, not to the batch, worker or GPU it meets."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator] | None


def sample_generator(seed: int, key: str, device: torch.device | str = 'cpu') -> torch.Generator:
    """A generator whose state depends on (seed, key) alone.

    Args:
        seed: The run's seed.
        key: Name of the sample, for example its file name and the number of the generation.
        device: Where it will draw. CPU and CUDA generators draw different numbers.
    """
    digest = hashlib.sha256(f'{seed}/{key}'.encode()).digest()
    # 63 bits: manual_seed refuses larger positive numbers
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], 'little') >> 1)


def randn(
    shape: Sequence[int],
    *,
    generator: Generators = None,
    device: torch.device | None = None,
) -> Tensor:
    """Standard normal float32 noise (B, ...), row i drawn by its own generator.

    Args:
        shape: Shape of the result, batch first.
        generator: One generator for all, one per row, or None for torch's global one.
        device: Where the noise lives; generators must live there too.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(shape, generator=generator, device=device)
    if len(generator) != shape[0]:
        raise ValueError(
            f'{len(generator)} generators for a batch of {shape[0]}: give one per sample'
        )
    rows = [torch.randn(shape[1:], generator=g, device=device) for g in generator]
    return torch.stack(rows)
