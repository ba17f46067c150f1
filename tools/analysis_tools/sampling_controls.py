"""Crippled samplers, to see whether a chain's steps do anything.

Each control takes a sampler and returns a copy that differs in one respect only.
"""

import copy

import torch
from torch import Tensor

from mmdiffseg.diffusion.samplers import Coefficients, Predict, Prediction, Sampler


def frozen_time(sampler: Sampler) -> Sampler:
    """A copy whose network is told the chain's first time at every step."""
    control = copy.copy(sampler)

    def sample(predict: Predict, noise: Tensor, steps: int, **options) -> Prediction:
        first, _ = sampler.time_pairs(steps)[0]

        def predict_at_first(z_t: Tensor, t: Tensor) -> Prediction:
            return predict(z_t, torch.full_like(t, first))

        return sampler.sample(predict_at_first, noise, steps, **options)

    control.sample = sample
    return control


def fresh_noise(sampler: Sampler) -> Sampler:
    """A copy whose steps end in new noise, as strong as what the true step leaves."""
    control = copy.copy(sampler)

    def step(
        z_t: Tensor,
        prediction: Prediction,
        now: Coefficients,
        then: Coefficients,
        noise: Tensor,
    ) -> Tensor:
        return then.sigma * noise

    control.stochastic = True
    control.step = step
    return control


CONTROLS = {'frozen time': frozen_time, 'fresh noise': fresh_noise}
