"""Multistep solvers of the probability flow: they look back at earlier estimates of x0.

They work in lambda = log(alpha / sigma), half the log-SNR. Over a step of length h the exact
solution is sigma_s / sigma_t z_t plus an integral over x0; the solvers take x0 to be a line through
its estimates at earlier steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmdiffseg.diffusion.samplers import Coefficients, Sampler, Step
from mmdiffseg.registry import SAMPLERS


def half_log_snr(now: Coefficients) -> Tensor:
    """The time lambda = log(alpha / sigma) of a step."""
    return now.log_snr / 2


def second_order_step(z_t: Tensor, seen: Sequence[Step], then: Coefficients) -> Tensor:
    """One step of DPM-Solver++ (2M) (Lu et al., 2022, algorithm 2), of first order at the start.

    Args:
        z_t: Map (B, C, h, w) at the time of ``seen[-1]``.
        seen: The latest steps, at least one.
        then: Schedule at the next, cleaner time.

    Returns:
        The map at the next time.
    """
    *before, step = seen
    now, x0 = step.now, step.x0
    h = half_log_snr(then) - half_log_snr(now)
    if before:
        previous = before[-1]
        r = (half_log_snr(now) - half_log_snr(previous.now)) / h
        x0 = x0 + (x0 - previous.x0) / (2 * r)
    return then.sigma / now.sigma * z_t - then.alpha * torch.expm1(-h) * x0


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class DPMSolverMultistepSampler(Sampler):
    """DPM-Solver++ (2M): second order, one call of the denoiser a step, no noise but the start.

    Lu et al., DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models,
    2022. It equals ``DPMSolverMultistepScheduler`` of diffusers at its defaults with
    ``final_sigmas_type='zero'``.

    Example:
        >>> sampler = DPMSolverMultistepSampler(schedule=CosineBetas(num_timesteps=1000))
        >>> chain = sampler.walk(predict, encode, shape=(2, 3, 8, 8), steps=10, draws=Draws())
        >>> for step in chain:
        ...     print(step.index, step.t, step.output.shape)
    """

    memory = 2
    chained = True

    def step(self, seen: Sequence[Step], then: Coefficients, noise: None) -> Tensor:
        """See :func:`second_order_step`."""
        return second_order_step(seen[-1].z_t, seen, then)


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class UniPCSampler(Sampler):
    """UniPC of order 2 with B(h) = exp(h) - 1: a predictor, and a corrector without extra calls.

    Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion
    Models, 2023. The predictor is the step of DPM-Solver++ (2M). Where a step ends, the denoiser is
    asked; what it says corrects the step before the following one begins. ``z_t`` of a
    :class:`Step` is the map before that correction, because that is what the denoiser saw. It
    equals ``UniPCMultistepScheduler`` of diffusers at its defaults.

    Example:
        >>> sampler = UniPCSampler(schedule=CosineBetas(num_timesteps=1000))
        >>> chain = sampler.walk(predict, encode, shape=(2, 3, 8, 8), steps=10, draws=Draws())
        >>> for step in chain:
        ...     print(step.index, step.t, step.output.shape)
    """

    memory = 3
    chained = True

    def step(self, seen: Sequence[Step], then: Coefficients, noise: None) -> Tensor:
        """See :meth:`Sampler.step`."""
        z_t = seen[-1].z_t
        if len(seen) > 1:
            z_t = z_t + self.correction(seen)
        return second_order_step(z_t, seen, then)

    def correction(self, seen: Sequence[Step]) -> Tensor:
        """What the estimate of ``seen[-1]`` adds to its map: UniC less UniP (eq. 3 and 8).

        Both start from the same map, so that the corrected map of the step before is not needed.
        """
        *earlier, previous, step = seen
        h = half_log_snr(step.now) - half_log_snr(previous.now)
        b = torch.expm1(-h)
        change = step.x0 - previous.x0
        if not earlier:
            return -step.now.alpha * b / 2 * change
        r = (half_log_snr(earlier[-1].now) - half_log_snr(previous.now)) / h
        slope = (earlier[-1].x0 - previous.x0) / r
        # the weights of both differences solve [[1, 1], [r, 1]] rho = (first, second)
        phi = -b / h - 1
        first, second = phi / b, (-2 * phi / h - 1) / b
        of_slope = (first - second) / (1 - r)
        of_change = first - of_slope
        # the predictor has given the slope the weight 1/2
        return -step.now.alpha * b * ((of_slope - 0.5) * slope + of_change * change)
