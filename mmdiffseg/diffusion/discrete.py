"""Discrete-time noise schedules (Ho et al., DDPM, 2020): z_t = alpha_t x0 + sigma_t eps.

Times are integers 0 .. T - 1, noisier upwards; -1 is the clean end, where every chain stops. The
tables are float64, as in the authors' codes, and keep the names they have there.
"""

import math
import re
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.registry import NOISE_SCHEDULES

SPACINGS = ('trailing', 'trailing_truncated', 'uniform', 'leading')


def table_at(table: Tensor, t: Tensor) -> Tensor:
    """Entries of a table (T,) at integer times ``t`` in 0 .. T - 1, on the device of ``t``."""
    return table.to(t.device, non_blocking=True)[t]  # the host need not wait for the copy


def space_timesteps(num_timesteps: int, respacing: int | str) -> list[int]:
    """Choose the times of a shorter chain, as in improved-diffusion (Nichol & Dhariwal, 2021).

    Args:
        num_timesteps: Length T of the full chain.
        respacing: A count N (``25`` or ``'25'``): N times spread over 0 .. T - 1, both ends
            included. Counts separated by commas (``'10,10,5'``): the chain is cut into as many
            equal sections, each spread so. ``'ddimN'``: N times 0, s, 2 s, ... of one stride s.

    Returns:
        Increasing times in 0 .. T - 1.

    Raises:
        ValueError: Not of this form, a section shorter than its count, or no stride with N times.
    """
    respacing = str(respacing)
    if not re.fullmatch(r'ddim\d+|\d+(,\d+)*', respacing):
        raise ValueError(f"respacing must look like 25, '10,10,5' or 'ddim25', got {respacing!r}")
    if respacing.startswith('ddim'):
        count = int(respacing.removeprefix('ddim'))
        for stride in range(1, num_timesteps + 1):
            times = range(0, num_timesteps, stride)
            if len(times) == count:
                return list(times)
        raise ValueError(f'no stride through {num_timesteps} timesteps has {count} of them')
    counts = [int(count) for count in respacing.split(',')]
    shortest, longer = divmod(num_timesteps, len(counts))
    times, start = [], 0
    for section, count in enumerate(counts):
        length = shortest + (section < longer)
        if not 1 <= count <= length:
            raise ValueError(
                f'respacing {respacing!r} asks for {count} of the {length} timesteps of a section'
            )
        stride = (length - 1) / max(count - 1, 1)
        position = 0.0  # summed up, since the authors' rounding at halves depends on it
        for _ in range(count):
            times.append(start + round(position))
            position += stride
        start += length
    return times


def discrete_time_pairs(
    num_timesteps: int, steps: int, *, spacing: str = 'trailing'
) -> list[tuple[int, int]]:
    """The (t_now, t_next) of every step of a chain; the last t_next is -1, the clean end.

    Two spacings are those of diffusers: ``trailing`` starts at T - 1, ``leading`` ends at 0.
    ``uniform`` does both, by :func:`space_timesteps` (diffusers' ``linspace``, but for the rounding
    at halves); a single step starts from noise. ``trailing_truncated`` is the grid
    linspace(-1, T - 1, steps + 1) of DiffusionDet and DFormer, cut off to integers.

    Args:
        num_timesteps: Length T of the full chain.
        steps: Number of denoising steps, 1 .. T.
        spacing: One of the above.
    """
    if not 1 <= steps <= num_timesteps:
        raise ValueError(f'steps must lie in 1 .. {num_timesteps}, got {steps}')
    if spacing == 'trailing':
        times = np.arange(num_timesteps, 0, -num_timesteps / steps)[:steps].round() - 1
    elif spacing == 'trailing_truncated':
        # float32 like the authors': in float64 some whole numbers would be cut off differently
        times = torch.linspace(-1, num_timesteps - 1, steps + 1).numpy()[:0:-1]
    elif spacing == 'uniform':
        kept = space_timesteps(num_timesteps, steps) if steps > 1 else [num_timesteps - 1]
        times = np.array(kept[::-1])
    elif spacing == 'leading':
        times = np.arange(steps)[::-1] * (num_timesteps // steps)
    else:
        raise ValueError(f'spacing must be one of {SPACINGS}, got {spacing!r}')
    times = times.astype(int).tolist()
    return list(zip(times, [*times[1:], -1], strict=True))


class DiscreteSchedule:
    """Variance-preserving chain given by the variances beta_t of its steps.

    Args:
        betas: Noise variances of the steps (T,), in (0, 1).
        respacing: Keep only some of the times, see :func:`space_timesteps`. The kept chain is
            numbered 0 .. N - 1 and has betas of its own.

    The tables stay on the CPU, also under ``torch.device('meta')``, where models are built to look
    at their size.

    Attributes:
        betas: Of the kept chain (N,), float64 like all tables.
        timestep_map: Original times of the kept chain (N,), which the network has to be given.
    """

    #: where every chain ends
    clean_time = -1

    def __init__(self, betas: Tensor, *, respacing: int | str | None = None) -> None:
        if not ((betas > 0) & (betas < 1)).all():
            raise ValueError(f'betas must lie in (0, 1), got {betas.min()} .. {betas.max()}')
        self.betas = betas.double()
        self.timestep_map = torch.arange(len(betas), device='cpu')
        if respacing is not None:
            kept = space_timesteps(len(betas), respacing)
            self.timestep_map = torch.tensor(kept, device='cpu')
            alphas_cumprod = (1 - self.betas).cumprod(0)[self.timestep_map]
            self.betas = 1 - alphas_cumprod / F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)

    @property
    def num_timesteps(self) -> int:
        """Length of the kept chain."""
        return len(self.betas)

    def log_snr(self, t: Tensor) -> Tensor:
        """Log signal-to-noise ratio at times ``t`` in -1 .. T - 1, any shape; inf at -1.

        Returns:
            Same shape as ``t``, float64.
        """
        alphas_cumprod = self._alphas_cumprod_at(t)
        return alphas_cumprod.log() - (-alphas_cumprod).log1p()

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise coefficients at times ``t`` in -1 .. T - 1; (1, 0) at -1.

        Returns:
            Two tensors of the shape of ``t``, float64, with alpha^2 + sigma^2 = 1.
        """
        alphas_cumprod = self._alphas_cumprod_at(t)
        return alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()

    def time_pairs(self, steps: int, *, spacing: str = 'trailing') -> list[tuple[int, int]]:
        """See :func:`discrete_time_pairs`."""
        return discrete_time_pairs(self.num_timesteps, steps, spacing=spacing)

    def _alphas_cumprod_at(self, t: Tensor) -> Tensor:
        if t.is_floating_point():
            raise TypeError(
                f'a discrete schedule takes integer times -1 .. {self.num_timesteps - 1}, '
                f'got {t.dtype}'
            )
        return table_at(F.pad(self.alphas_cumprod, (1, 0), value=1.0), t + 1)

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """alpha_t^2 = prod_{s <= t} (1 - beta_s)."""
        return (1 - self.betas).cumprod(0)

    @cached_property
    def alphas_cumprod_prev(self) -> Tensor:
        """alpha_{t-1}^2, 1 before the first step."""
        return F.pad(self.alphas_cumprod[:-1], (1, 0), value=1.0)

    @cached_property
    def alphas_cumprod_next(self) -> Tensor:
        """alpha_{t+1}^2, 0 behind the last step."""
        return F.pad(self.alphas_cumprod[1:], (0, 1))

    @cached_property
    def sqrt_alphas_cumprod(self) -> Tensor:
        """alpha_t."""
        return self.alphas_cumprod.sqrt()

    @cached_property
    def sqrt_one_minus_alphas_cumprod(self) -> Tensor:
        """sigma_t."""
        return (1 - self.alphas_cumprod).sqrt()

    @cached_property
    def log_one_minus_alphas_cumprod(self) -> Tensor:
        """Logarithm of sigma_t^2."""
        return (1 - self.alphas_cumprod).log()

    @cached_property
    def sqrt_recip_alphas_cumprod(self) -> Tensor:
        """1 / alpha_t, the factor of z_t in x0."""
        return (1 / self.alphas_cumprod).sqrt()

    @cached_property
    def sqrt_recipm1_alphas_cumprod(self) -> Tensor:
        """sigma_t / alpha_t, the factor of -eps in x0."""
        return (1 / self.alphas_cumprod - 1).sqrt()

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of q(z_{t-1} | z_t, x0) (DDPM, eq. 7), which SegDiff calls fixed small."""
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Tensor:
        """Its logarithm, with the entry of t = 1 at t = 0, where the variance is 0."""
        return torch.cat([self.posterior_variance[:2][-1:], self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_coef1(self) -> Tensor:
        """Factor of x0 in the mean of q(z_{t-1} | z_t, x0)."""
        return self.betas * self.alphas_cumprod_prev.sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Tensor:
        """Factor of z_t in the mean of q(z_{t-1} | z_t, x0)."""
        return (1 - self.alphas_cumprod_prev) * (1 - self.betas).sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def fixed_large_variance(self) -> Tensor:
        """beta_t, the upper choice of the sampling variance, with the posterior's at t = 0."""
        return torch.cat([self.posterior_variance[:2][-1:], self.betas[1:]])

    @cached_property
    def fixed_large_log_variance(self) -> Tensor:
        """Its logarithm."""
        return self.fixed_large_variance.log()


@NOISE_SCHEDULES.register_module()
class LinearBetas(DiscreteSchedule):
    """DDPM's betas from 1e-4 to 0.02 over 1000 steps, scaled by 1000 / T for other lengths.

    The scaling (improved-diffusion, SegDiff) lets short chains end in noise too; at T = 20 the
    last beta would be 1, nothing of z_t could be turned back into x0.

    Args:
        num_timesteps: Length T of the chain, above 20.
        respacing: See :class:`DiscreteSchedule`.
    """

    def __init__(self, *, num_timesteps: int = 1000, respacing: int | str | None = None) -> None:
        if num_timesteps <= 20:
            raise ValueError(
                'linear betas are scaled by 1000 / num_timesteps and reach 1 at 20 steps: '
                f'num_timesteps must be above 20, got {num_timesteps}; a shorter chain is part of '
                'a longer one, by `respacing`'
            )
        scale = 1000 / num_timesteps
        ends = (scale * 1e-4, scale * 0.02)
        betas = torch.linspace(*ends, num_timesteps, dtype=torch.float64, device='cpu')
        super().__init__(betas, respacing=respacing)


@NOISE_SCHEDULES.register_module()
class CosineBetas(DiscreteSchedule):
    """Nichol & Dhariwal's cosine schedule (2021, eq. 17), betas clipped at 0.999; DFormer's.

    alpha_t^2 follows g(u) = cos^2((u + 0.008) / 1.008 * pi / 2) at u = (t + 1) / T.

    Args:
        num_timesteps: Length T of the chain.
        respacing: See :class:`DiscreteSchedule`.
    """

    def __init__(self, *, num_timesteps: int = 1000, respacing: int | str | None = None) -> None:
        if num_timesteps < 1:
            raise ValueError(f'num_timesteps must be at least 1, got {num_timesteps}')
        u = torch.arange(num_timesteps + 1, dtype=torch.float64, device='cpu') / num_timesteps
        g = ((u + 0.008) / 1.008 * math.pi * 0.5).cos() ** 2
        g = g / g[0]  # cancels, but the authors' last digits depend on it
        super().__init__((1 - g[1:] / g[:-1]).clamp(max=0.999), respacing=respacing)
