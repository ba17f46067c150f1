"""Rectified flow: straight lines from label maps to noise, and the velocity along them."""

import math

import torch
from torch import Tensor

from mmdiffseg.diffusion.corruption import per_sample
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.schedules import ContinuousSchedule
from mmdiffseg.registry import NOISE_SCHEDULES


@NOISE_SCHEDULES.register_module()
class LinearInterpolant(ContinuousSchedule):
    """The straight line z_t = (1 - t) x0 + t eps, t = 0 clean and t = 1 noise.

    Rectified flow (Liu et al., 2023), flow matching with optimal-transport paths (Lipman et al.,
    2023). alpha + sigma = 1, so it does not preserve the variance. Those papers and their codes
    count time the other way, and their velocity is minus ours.

    The velocity is u = dz/dt = eps - x0. It is not the `v` of the Gaussian schedules, which is
    alpha eps - sigma x0.

    Args:
        sigma_min: Noise that is left at t = 0: sigma = t + sigma_min (1 - t), and the velocity is
            (1 - sigma_min) eps - x0.
        logit_normal: Mean and standard deviation of log(t / (1 - t)) in training (Stable
            Diffusion 3); None draws times uniformly from [0, 1].
        shift: Moves times towards noise, t' = k t / (1 + (k - 1) t), in training and in the grid of
            a chain. Above 1 for maps of many pixels.

    Example:
        >>> flow = LinearInterpolant()
        >>> t = flow.training_times(torch.rand(len(x0)))
        >>> z_t = corrupt(x0, eps, *flow.alpha_sigma(t))
        >>> loss = (network(z_t, t) - flow.velocity(x0, eps)).square().mean()
    """

    #: alpha is 0 at the start of a chain, and alpha^2 + sigma^2 is not 1: neither eps nor v
    prediction_types = ('x0', 'velocity')
    #: times below it are taken for it where x0 is turned into a velocity, which divides by sigma
    smallest_time = 1e-3

    def __init__(
        self,
        *,
        sigma_min: float = 0.0,
        logit_normal: tuple[float, float] | None = None,
        shift: float = 1.0,
    ) -> None:
        if not 0 <= sigma_min < 1:
            raise ValueError(f'sigma_min must lie in [0, 1), got {sigma_min}')
        if logit_normal is not None and (len(logit_normal) != 2 or not logit_normal[1] > 0):
            raise ValueError(
                f'logit_normal={logit_normal} must be (mean, standard deviation): the standard '
                'deviation must be positive'
            )
        if not 0 < shift < math.inf:
            raise ValueError(f'shift must be positive, got {shift}')
        self.sigma_min = sigma_min
        self.logit_normal = logit_normal
        self.shift = shift

    def log_snr(self, t: Tensor) -> Tensor:
        """See :meth:`ContinuousSchedule.log_snr`; -inf at t = 1, inf at t = 0."""
        alpha, sigma = self.alpha_sigma(t)
        return 2 * (alpha.log() - sigma.log())

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise coefficients at times ``t``: (1 - t, t + sigma_min (1 - t)).

        Returns:
            Two tensors of the shape of ``t``, float32 or better.
        """
        t = t.to(torch.promote_types(t.dtype, torch.float32))
        alpha = 1 - t
        return alpha, t + self.sigma_min * alpha

    def time_pairs(self, steps: int, **options) -> list[tuple[float, float]]:
        """See :meth:`ContinuousSchedule.time_pairs`; the grid is shifted."""
        pairs = super().time_pairs(steps, **options)
        return [(self._shifted(now), self._shifted(then)) for now, then in pairs]

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """See :meth:`GaussianSchedule.draw_times` and :meth:`training_times`."""
        return self.training_times(super().draw_times(count, draws, device))

    def training_times(self, uniform: Tensor) -> Tensor:
        """Times to train on.

        Args:
            uniform: Numbers (B,) drawn evenly from [0, 1).

        Returns:
            Times (B,) in [0, 1].
        """
        if self.logit_normal is None:
            return self._shifted(uniform)
        mean, std = self.logit_normal
        return self._shifted((mean + std * torch.special.ndtri(uniform)).sigmoid())

    def velocity(self, x0: Tensor, noise: Tensor) -> Tensor:
        """The velocity dz/dt of the line from ``x0`` to ``noise``, what a network learns."""
        return (1 - self.sigma_min) * noise - x0

    def velocity_to_x0(self, velocity: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The clean end of the line through ``z_t`` (B, C, h, w) at time ``t`` (B,)."""
        _, sigma = self.alpha_sigma(t)
        return (1 - self.sigma_min) * z_t - per_sample(sigma.to(z_t), z_t) * velocity

    def velocity_to_eps(self, velocity: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The noisy end of the line through ``z_t`` (B, C, h, w) at time ``t`` (B,)."""
        alpha, _ = self.alpha_sigma(t)
        return z_t + per_sample(alpha.to(z_t), z_t) * velocity

    def x0_to_velocity(self, x0: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The velocity that an estimate of x0 means; times below ``smallest_time`` count as it."""
        _, sigma = self.alpha_sigma(t.clamp(min=self.smallest_time))
        return ((1 - self.sigma_min) * z_t - x0) / per_sample(sigma.to(z_t), z_t)

    def eps_to_velocity(self, eps: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The velocity that an estimate of eps means; times too near 1 count as 1 - 1e-3."""
        alpha, _ = self.alpha_sigma(t.clamp(max=1 - self.smallest_time))
        return (eps - z_t) / per_sample(alpha.to(z_t), z_t)

    def _shifted(self, t):
        return self.shift * t / (1 + (self.shift - 1) * t)
