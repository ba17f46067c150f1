"""Continuous-time noise schedules: z_t = alpha(t) x0 + sigma(t) eps, t = 0 clean, t = 1 noise."""

import math

import torch
from torch import Tensor

from mmdiffseg.diffusion.corruption import GaussianSchedule
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import NOISE_SCHEDULES

#: as many as the longest discrete chain in use; a chain of more is a slip of the keyboard
MAX_STEPS = 1000
SPACINGS = ('trailing', 'uniform', 'leading')


class ContinuousSchedule(GaussianSchedule):
    """Variance-preserving schedule given by its log signal-to-noise ratio on t in [0, 1]."""

    #: where every chain ends
    clean_time = 0.0

    def log_snr(self, t: Tensor) -> Tensor:
        """Log signal-to-noise ratio at times ``t``.

        Args:
            t: Times in [0, 1], any shape. Half precision is promoted to float32 first, because the
                formulas lose their noisy end there.

        Returns:
            Same shape as ``t``, float32 or better.
        """
        raise NotImplementedError

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise coefficients at times ``t``, with alpha^2 + sigma^2 = 1.

        Returns:
            Two tensors of the shape of ``t``, float32 or better.
        """
        log_snr = self.log_snr(t)
        return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """See :meth:`GaussianSchedule.draw_times`; uniform in [0, 1)."""
        return draws.uniform('t', (count,), device=device)

    def time_pairs(
        self,
        steps: int,
        *,
        spacing: str = 'trailing',
        time_difference: float = 0.0,
        t_min: float = 0.0,
        t_max: float = 1.0,
        strength: float = 1.0,
    ) -> list[tuple[float, float]]:
        """The (t_now, t_next) of every sampling step.

        The evaluation times are equally spaced in [t_min, t_max]; the spacing says which ends they
        touch: ``trailing`` t_max only (DDP's grid), ``leading`` t_min only, ``uniform`` both.

        Args:
            steps: Number of denoising steps, 1 to 1000.
            spacing: One of ``trailing``, ``uniform``, ``leading``.
            time_difference: How many further intervals each step jumps ahead (the asymmetric
                intervals of Bit Diffusion; DDP uses 1). ``t_next`` never falls below ``t_min``.
            t_min: Cleanest time of the chain.
            t_max: Noisiest time of the chain, where it starts.
            strength: Share of [t_min, t_max] that the chain walks, its clean end.

        Raises:
            ValueError: An argument lies outside its range.
        """
        if steps < 1:
            raise ValueError(f'steps must be at least 1, got {steps}')
        if steps > MAX_STEPS:
            raise ValueError(f'steps must be at most {MAX_STEPS}, got {steps}')
        if not 0 <= time_difference < math.inf:
            raise ValueError(f'time_difference must be 0 or more, got {time_difference}')
        if spacing not in SPACINGS:
            raise ValueError(f'spacing must be one of {SPACINGS}, got {spacing!r}')
        intervals = max(steps - 1, 1) if spacing == 'uniform' else steps
        first = int(spacing == 'leading')
        if strength != 1:
            t_max = t_min + strength * (t_max - t_min)

        def at(k: float) -> float:
            # multiplied, not summed up: k = intervals has to give t_min to the last bit
            return max(t_max - k / intervals * (t_max - t_min), t_min)

        return [(at(first + k), at(first + k + 1 + time_difference)) for k in range(steps)]


def _at_least_float32(t: Tensor) -> Tensor:
    return t.to(torch.promote_types(t.dtype, torch.float32))


@NOISE_SCHEDULES.register_module()
class CosineLogSNR(ContinuousSchedule):
    """Cosine schedule of DDP's released code.

    lambda(t) = -log(max(cos((t + 2e-4) / (1 + 2.5e-4) * pi / 2)^-2 - 1, 1e-5)): from +11.5 at
    t = 0, where the clamp acts, to -18.9 at t = 1.
    """

    def log_snr(self, t: Tensor) -> Tensor:
        """See :meth:`ContinuousSchedule.log_snr`."""
        angle = (_at_least_float32(t) + 2e-4) / (1 + 2.5e-4) * math.pi * 0.5
        return -(angle.cos() ** -2 - 1).clamp(min=1e-5).log()


@NOISE_SCHEDULES.register_module()
class LinearLogSNR(ContinuousSchedule):
    """Linear-beta schedule in continuous time: lambda(t) = -log(expm1(1e-4 + 10 t^2))."""

    def log_snr(self, t: Tensor) -> Tensor:
        """See :meth:`ContinuousSchedule.log_snr`."""
        return -torch.expm1(1e-4 + 10 * _at_least_float32(t) ** 2).log()


@NOISE_SCHEDULES.register_module()
class CosineGamma(ContinuousSchedule):
    """Cosine schedule of DDP's released depth code, which is :class:`CosineLogSNR` without a clamp.

    gamma(t) = cos((t + 2e-4) / (1 + 2.5e-4) * pi / 2)^2 and z_t = sqrt(gamma) x0 +
    sqrt(1 - gamma) eps.
    """

    def gamma(self, t: Tensor) -> Tensor:
        """Share of the signal in the variance at times ``t``, shape of ``t``, float32 or better."""
        angle = (_at_least_float32(t) + 2e-4) / (1 + 2.5e-4) * math.pi * 0.5
        return angle.cos() ** 2

    def log_snr(self, t: Tensor) -> Tensor:
        """See :meth:`ContinuousSchedule.log_snr`."""
        gamma = self.gamma(t)
        return gamma.log() - (1 - gamma).log()

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`ContinuousSchedule.alpha_sigma`."""
        gamma = self.gamma(t)
        return gamma.sqrt(), (1 - gamma).sqrt()
