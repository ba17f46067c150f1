"""Chains for every image and generation of a batch: what the diffusion heads share at test time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmdiffseg.diffusion.randomness import randn, sample_generator
from mmdiffseg.diffusion.samplers import Callback, Predict, Prediction, Sampler


def sample_key(meta: dict) -> str:
    """Name of an image, or of the sample of that image, and its view: its test-time noise."""
    view = meta.get('flip_direction') if meta.get('flip') else None
    name = meta.get('sample_id') or Path(meta.get('img_path') or '').name
    return f'{name}/{view}'


def noise_keys(
    metas: Sequence[dict], noise: Tensor | None, generator: torch.Generator | None
) -> list[str] | None:
    """Names of the images of a batch, or None where noise or a generator is given instead."""
    if noise is not None or generator is not None:
        return None
    return [sample_key(meta) for meta in metas]


def sample_generations(
    sampler: Sampler,
    predict: Predict,
    *,
    shape: Sequence[int],
    steps: int,
    generations: int,
    device: torch.device,
    max_batch: int | None = None,
    seed: int = 0,
    keys: Sequence[str] | None = None,
    noise: Tensor | None = None,
    step_noise: Sequence[Tensor] | None = None,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Iterator[Prediction]:
    """Run the chains of all generations of some images, as many at once as ``max_batch`` allows.

    A chain's batch holds all images once per generation, generation-major: (G * B, C, h, w).

    Args:
        sampler: Makes the steps.
        predict: The denoiser, see :meth:`Sampler.sample`.
        shape: Shape (B, C, h, w) of one generation.
        steps: Sampling steps.
        generations: Number of generations per image.
        device: Where the maps live.
        max_batch: Most maps to denoise at once: generations beyond it run one after the other, but
            never less than one for all images.
        seed: Of the noise that is drawn by ``keys``.
        keys: Names of the images: each (image, generation) then draws from a generator of its own,
            whatever the batch around it.
        noise: Starting noise (generations * B, C, h, w), instead.
        step_noise: The same for each step of a stochastic sampler but the last.
        generator: Draws for all samples, where there are no ``keys``.
        callback: Sees every step of every chain.

    Yields:
        The last prediction of each group of generations, in their order.

    Raises:
        ValueError: If ``noise`` does not hold one map for each.
    """
    b, _, h, w = shape
    if noise is not None and len(noise) != generations * b:
        raise ValueError(
            f'noise needs a map for each of {generations} generations of {b} images, '
            f'got {len(noise)}'
        )
    at_once = generations if max_batch is None else max(max_batch // b, 1)
    for first in range(0, generations, at_once):
        group = range(first, min(first + at_once, generations))
        rows = slice(group.start * b, group.stop * b)
        source = generator
        if keys is not None:
            names = [f'{key}/{h}x{w}/{generation}' for generation in group for key in keys]
            source = [sample_generator(seed, name, device) for name in names]
        if noise is None:
            start = randn((len(group) * b, *shape[1:]), generator=source, device=device)
        else:
            start = noise[rows]
        yield sampler.sample(
            predict,
            start,
            steps,
            step_noise=None if step_noise is None else [step[rows] for step in step_noise],
            generator=source,
            callback=callback,
        )
