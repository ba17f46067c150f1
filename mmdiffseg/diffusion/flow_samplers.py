"""Solvers of rectified flow: they follow the velocity from noise to a clean map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mmdiffseg.diffusion.flow import LinearInterpolant
from mmdiffseg.diffusion.samplers import Coefficients, Sampler, Step
from mmdiffseg.registry import SAMPLERS


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class EulerSampler(Sampler):
    """Straight steps along the velocity (Liu et al., 2023); DDIM at eta 0 takes the same ones.

    Example:
        >>> sampler = EulerSampler(schedule=LinearInterpolant())
        >>> chain = sampler.walk(predict, encode, shape=(2, 3, 8, 8), steps=10, draws=Draws())
        >>> for step in chain:
        ...     print(step.index, step.t, step.output.shape)
    """

    schedule: LinearInterpolant | dict

    follows: ClassVar[type] = LinearInterpolant

    def step(self, seen: Sequence[Step], then: Coefficients, noise: None) -> Tensor:
        """See :meth:`Sampler.step`: z + (s - t) u."""
        now = seen[-1]
        return now.z_t + (then.t - now.t) * self.velocity(now)

    def velocity(self, step: Step) -> Tensor:
        """The velocity dz/dt that the estimate of a step means, shape of its map."""
        t = torch.tensor(step.t, dtype=torch.float64)
        return self.schedule.x0_to_velocity(step.x0, step.z_t, t)


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class HeunSampler(EulerSampler):
    """Heun's rule: the mean of the velocities at both ends of an interval; of second order.

    ``steps`` counts the calls of the denoiser, as everywhere. A chain asks at the start of an
    interval, goes to its end by Euler's rule, asks there, and goes again from the start. In the
    last interval it asks once, because an estimate of x0 has no velocity at the clean end. So 7
    steps walk over 4 intervals. Where the count is even, the first interval is Euler's too.

    Example:
        >>> sampler = HeunSampler(schedule=LinearInterpolant())
        >>> sampler.time_pairs(3)
        [(1.0, 0.5), (0.5, 0.5), (0.5, 0.0)]
    """

    memory = 2
    chained = True

    def time_pairs(self, steps: int, strength: float = 1.0) -> list[tuple[float, float]]:
        """See :meth:`Sampler.time_pairs`; a pair of equal times is a second look."""
        if steps < 1:
            raise ValueError(f'steps must be at least 1, got {steps}')
        *before, last = super().time_pairs(steps // 2 + 1, strength)
        pairs = [pair for now, then in before for pair in ((now, then), (then, then))]
        if steps % 2 == 0:
            del pairs[1]
        return [*pairs, last]

    def step(self, seen: Sequence[Step], then: Coefficients, noise: None) -> Tensor:
        """See :meth:`Sampler.step`."""
        now = seen[-1]
        if then.t != now.t:
            return super().step(seen, then, noise)
        start = seen[-2]
        mean = (self.velocity(start) + self.velocity(now)) / 2
        return start.z_t + (now.t - start.t) * mean
