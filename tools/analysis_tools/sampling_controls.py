"""Crippled samplers, to see whether a chain's steps do anything.

Each control takes a sampler and returns a copy that differs in one respect only.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mmdiffseg.diffusion.samplers import Chain, Coefficients, Predict, Sampler, Step


def frozen_time(sampler: Sampler) -> Sampler:
    """A copy whose network is told the chain's first time at every step."""
    control = copy.copy(sampler)

    def walk(predict: Predict, encode: Callable[[Any], Tensor], *, steps: int, **options) -> Chain:
        first, _ = sampler.time_pairs(steps)[0]

        def predict_at_first(z_t: Tensor, t: Tensor) -> tuple[Any, Tensor | None]:
            return predict(z_t, torch.full_like(t, first))

        return sampler.walk(predict_at_first, encode, steps=steps, **options)

    control.walk = walk
    return control


def fresh_noise(sampler: Sampler) -> Sampler:
    """A copy whose steps end in new noise, as strong as what the true step leaves."""
    control = copy.copy(sampler)

    def step(seen: Sequence[Step], then: Coefficients, noise: Tensor) -> Tensor:
        return then.sigma * noise

    control.stochastic = True
    control.step = step
    return control


CONTROLS = {'frozen time': frozen_time, 'fresh noise': fresh_noise}
