"""Discrete-time noise schedules (Ho et al., DDPM, 2020): z_t = alpha_t x0 + sigma_t eps.

Times are integers from 0 to T - 1, noisier as they grow; -1 is the clean end of every chain. The
tables are float64 and named as in improved-diffusion.
"""

import math
import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.corruption import GaussianSchedule
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import NOISE_SCHEDULES

SPACINGS = ('trailing', 'trailing_truncated', 'uniform', 'ccdm', 'leading', 'quadratic')
SIGNAL_SPACINGS = ('geometric', 'log_snr')


def table_at(table: Tensor, t: Tensor) -> Tensor:
    """Look up a table (T,) at integer times ``t`` in 0 .. T - 1, on the device of ``t``."""
    return table.to(t.device, non_blocking=True)[t]  # does not make the host wait for the copy


def space_timesteps(num_timesteps: int, respacing: int | str) -> list[int]:
    """Choose the times of a shorter chain, as in improved-diffusion (Nichol & Dhariwal, 2021).

    Args:
        num_timesteps: Length T of the full chain.
        respacing: A count N (``25`` or ``'25'``) spreads N times evenly over 0 .. T - 1, both ends
            included. Counts separated by commas (``'10,10,5'``) cut the chain into that many equal
            sections and spread the times of each section in the same way. ``'ddimN'`` takes the N
            times 0, s, 2 s, ... of a single stride s.

    Returns:
        Increasing times in 0 .. T - 1.

    Raises:
        ValueError: ``respacing`` has another form, asks for more times than a section has, or for
            a number of times that no stride gives.
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
        position = 0.0  # accumulated: the authors' rounding at halves depends on it
        for _ in range(count):
            times.append(start + round(position))
            position += stride
        start += length
    return times


def discrete_time_pairs(
    num_timesteps: int, steps: int, *, spacing: str = 'trailing'
) -> list[tuple[int, int]]:
    """List the (t_now, t_next) of every step of a chain, which ends at t_next = -1.

    Args:
        num_timesteps: Length T of the full chain.
        steps: Number of denoising steps, 1 .. T.
        spacing: ``'trailing'`` starts at T - 1 and ``'leading'`` ends at 0, both as in diffusers.
            ``'uniform'`` includes both ends, by :func:`space_timesteps`; it equals ``'linspace'``
            of diffusers except for the rounding of halves, and a single step starts at T - 1.
            ``'ccdm'`` is CCDM's round(linspace(T, 1, steps)), which counts times from 1: the same
            again except for the rounding of halves.
            ``'trailing_truncated'`` is the grid linspace(-1, T - 1, steps + 1) of DiffusionDet
            and DFormer, truncated to integers. ``'quadratic'`` starts at T - 1 with small steps
            that grow: most of them fall where a map is still noise, which is where a chain of
            categorical diffusion chooses among the answers.

    Raises:
        ValueError: ``steps`` lies outside 1 .. T, or the spacing is unknown.
    """
    _check_steps(num_timesteps, steps)
    if spacing == 'trailing':
        times = np.arange(num_timesteps, 0, -num_timesteps / steps)[:steps].round() - 1
    elif spacing == 'trailing_truncated':
        # float32 like the authors: float64 would truncate some whole numbers differently
        times = torch.linspace(-1, num_timesteps - 1, steps + 1).numpy()[:0:-1]
    elif spacing == 'uniform':
        kept = space_timesteps(num_timesteps, steps) if steps > 1 else [num_timesteps - 1]
        times = np.array(kept[::-1])
    elif spacing == 'ccdm':
        times = np.linspace(num_timesteps, 1, steps).round() - 1
    elif spacing == 'leading':
        times = np.arange(steps)[::-1] * (num_timesteps // steps)
    elif spacing == 'quadratic':
        times = _apart((num_timesteps * (1 - (np.arange(steps) / steps) ** 2)).round() - 1)
    else:
        raise ValueError(f'spacing must be one of {SPACINGS}, got {spacing!r}')
    return _pairs(times)


def signal_time_pairs(alphas_cumprod: Tensor, steps: int, *, spacing: str) -> list[tuple[int, int]]:
    """List the (t_now, t_next) of a chain whose signal grows alike in every step.

    A chain chooses among the answers as soon as a few pixels tell them apart, long before a human
    eye sees anything. Its times therefore begin at a share of signal abar of 1 / 200. The first
    time is the noisiest, whatever its share.

    Args:
        alphas_cumprod: Shares abar (T,) of the times that the chain may use, falling.
        steps: Number of denoising steps, 1 .. T.
        spacing: ``'geometric'``: abar grows by the same factor in every step, up to 1 / 2, where
            the choice is made. ``'log_snr'``: abar / (1 - abar) does, up to abar = 49 / 50, so that
            outlines are cleaned as well.
    """
    _check_steps(len(alphas_cumprod), steps)
    low = max(alphas_cumprod[-1].item(), 1 / 200)
    # a chain that starts from a given map may have less than this to go
    high = max((1 + low) / 2, 1 / 2 if spacing == 'geometric' else 49 / 50)
    middles = (np.arange(steps - 1) + 0.5) / max(steps - 1, 1)
    if spacing == 'geometric':
        shares = low * (high / low) ** middles
    else:
        first, last = low / (1 - low), high / (1 - high)
        shares = 1 / (1 + 1 / (first * (last / first) ** middles))
    # the first time whose share is not above the wanted one
    below = np.searchsorted(-alphas_cumprod.numpy(), -shares)
    times = np.concatenate([[len(alphas_cumprod) - 1], below])
    return _pairs(_apart(times))


def _check_steps(num_timesteps: int, steps: int) -> None:
    if not 1 <= steps <= num_timesteps:
        raise ValueError(f'steps must lie in 1 .. {num_timesteps}, got {steps}')


def _apart(times: np.ndarray) -> np.ndarray:
    """Times that fall by one at least in each step, and reach 0 or more at the end."""
    order = np.arange(len(times))
    return np.maximum(np.minimum.accumulate(times + order) - order, order[::-1])


def _pairs(times: np.ndarray) -> list[tuple[int, int]]:
    times = times.astype(int).tolist()
    return list(zip(times, [*times[1:], -1], strict=True))


def share_of_times(num_timesteps: int, strength: float) -> int:
    """How many of the cleanest times a chain uses that starts at a strength in (0, 1]."""
    return max(round(strength * num_timesteps), 1)


class DiscreteSchedule(GaussianSchedule):
    """Variance-preserving chain, given by the variances beta_t of its steps.

    The tables stay on the CPU, even when a model is built under ``torch.device('meta')``.

    Args:
        betas: Noise variances of the steps (T,), in (0, 1).

    Raises:
        ValueError: A variance lies outside (0, 1).
    """

    #: time at which every chain ends
    clean_time = -1

    def __init__(self, betas: Tensor) -> None:
        if not ((betas > 0) & (betas < 1)).all():
            raise ValueError(f'betas must lie in (0, 1), got {betas.min()} .. {betas.max()}')
        self.betas = betas.double()

    @property
    def num_timesteps(self) -> int:
        """Length T of the chain."""
        return len(self.betas)

    def log_snr(self, t: Tensor) -> Tensor:
        """Log signal-to-noise ratio at times ``t`` in -1 .. T - 1 of any shape, inf at -1.

        Returns:
            Same shape as ``t``, float64.
        """
        alphas_cumprod = self._alphas_cumprod_at(t)
        return alphas_cumprod.log() - (-alphas_cumprod).log1p()

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise coefficients at times ``t`` in -1 .. T - 1 of any shape, (1, 0) at -1.

        Returns:
            Two tensors of the shape of ``t``, float64, with alpha^2 + sigma^2 = 1.
        """
        alphas_cumprod = self._alphas_cumprod_at(t)
        return alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """See :meth:`GaussianSchedule.draw_times`; uniform over 0 .. T - 1."""
        return draws.integers('t', 0, self.num_timesteps, (count,), device=device)

    def time_pairs(
        self, steps: int, *, spacing: str = 'trailing', strength: float = 1.0
    ) -> list[tuple[int, int]]:
        """List the (t_now, t_next) of every step.

        Args:
            steps: Number of denoising steps.
            spacing: Where the evaluation times lie: ``'geometric'`` or ``'log_snr'``, see
                :func:`signal_time_pairs`, or what :func:`discrete_time_pairs` knows.
            strength: Share of the T times that the chain may use, the cleanest ones.
        """
        if spacing not in (*SPACINGS, *SIGNAL_SPACINGS):
            raise ValueError(
                f'spacing must be one of {(*SPACINGS, *SIGNAL_SPACINGS)}, got {spacing!r}'
            )
        times = share_of_times(self.num_timesteps, strength)
        if spacing in SIGNAL_SPACINGS:
            return signal_time_pairs(self.alphas_cumprod[:times], steps, spacing=spacing)
        return discrete_time_pairs(times, steps, spacing=spacing)

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
        """alpha_{t-1}^2, which is 1 at t = 0."""
        return F.pad(self.alphas_cumprod[:-1], (1, 0), value=1.0)

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of q(z_{t-1} | z_t, x0) (DDPM, eq. 7): ``fixed_small`` in improved-diffusion."""
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Tensor:
        """Log of the posterior variance; at t = 0, where that is 0, the value of t = 1."""
        return torch.cat([self.posterior_variance[:2][-1:], self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_coef1(self) -> Tensor:
        """Factor of x0 in the mean of q(z_{t-1} | z_t, x0)."""
        return self.betas * self.alphas_cumprod_prev.sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Tensor:
        """Factor of z_t in the mean of q(z_{t-1} | z_t, x0)."""
        return (1 - self.alphas_cumprod_prev) * (1 - self.betas).sqrt() / (1 - self.alphas_cumprod)


@NOISE_SCHEDULES.register_module()
class LinearBetas(DiscreteSchedule):
    """DDPM's betas from 1e-4 to 0.02 over 1000 steps, scaled by 1000 / T for other lengths.

    The scaling (improved-diffusion, SegDiff) makes short chains end in noise too. At T = 20 the
    final beta would be 1, and z_t would hold nothing of x0.

    Args:
        num_timesteps: Length T of the chain, above 20 where the betas are scaled.
        ends: First and final beta, which are not scaled, such as CCDM's (0.01, 0.2) over 250 steps;
            None for DDPM's.

    Raises:
        ValueError: The chain is too short, or the ends are not two numbers in (0, 1).

    Example:
        >>> schedule = LinearBetas(num_timesteps=100)
        >>> alpha, sigma = schedule.alpha_sigma(torch.tensor([0, 99]))
    """

    def __init__(
        self, *, num_timesteps: int = 1000, ends: tuple[float, float] | None = None
    ) -> None:
        if ends is not None and (not isinstance(ends, Sequence) or len(ends) != 2):
            raise ValueError(f'ends={ends!r} must be two betas, the first and the final one')
        shortest = 20 if ends is None else 0
        if num_timesteps <= shortest:
            raise ValueError(
                f'num_timesteps of linear betas must be above {shortest}, got {num_timesteps}: '
                'train a longer chain and sample it in fewer steps, by the `steps` of the sampler'
            )
        if ends is None:
            scale = 1000 / num_timesteps
            ends = (scale * 1e-4, scale * 0.02)
        betas = torch.linspace(*ends, num_timesteps, dtype=torch.float64, device='cpu')
        super().__init__(betas)


@NOISE_SCHEDULES.register_module()
class CosineBetas(DiscreteSchedule):
    """Cosine schedule of Nichol & Dhariwal (2021, eq. 17), with betas clipped at 0.999.

    alpha_t^2 follows g(u) = cos^2((u + 0.008) / 1.008 * pi / 2) at u = (t + 1) / T. DFormer's
    schedule.

    Args:
        num_timesteps: Length T of the chain.

    Raises:
        ValueError: The chain has no step.
    """

    def __init__(self, *, num_timesteps: int = 1000) -> None:
        if num_timesteps < 1:
            raise ValueError(f'num_timesteps must be at least 1, got {num_timesteps}')
        u = torch.arange(num_timesteps + 1, dtype=torch.float64, device='cpu') / num_timesteps
        g = ((u + 0.008) / 1.008 * math.pi * 0.5).cos() ** 2
        g = g / g[0]  # cancels out, but the final digits of the authors' tables depend on it
        super().__init__((1 - g[1:] / g[:-1]).clamp(max=0.999))


@NOISE_SCHEDULES.register_module()
class CCDMCosineBetas(CosineBetas):
    """The cosine tables of CCDM's released code, for converted checkpoints and parity.

    They are rounded to float32, and ``alphas_cumprod`` is not the product of 1 - beta: it is
    f(t / T) where the product is f((t + 1) / T) / f(0), so it is one step late.

    Args:
        num_timesteps: Length T of the chain.
    """

    def __init__(self, *, num_timesteps: int = 250) -> None:
        super().__init__(num_timesteps=num_timesteps)
        self.betas = 1 - (1 - self.betas.float()).double()
        u = torch.arange(num_timesteps, dtype=torch.float32, device='cpu') / num_timesteps
        self.alphas_cumprod = (((u + 0.008) / 1.008 * math.pi / 2).cos() ** 2).double()


@NOISE_SCHEDULES.register_module()
class CCDMLinearBetas(LinearBetas):
    """The linear tables of CCDM's released code, for converted checkpoints and parity.

    They are rounded to float32 after every operation.

    Args:
        num_timesteps: Length T of the chain.
        ends: First and final beta.
    """

    def __init__(
        self, *, num_timesteps: int = 250, ends: tuple[float, float] = (0.01, 0.2)
    ) -> None:
        super().__init__(num_timesteps=num_timesteps, ends=ends)
        kept = 1 - torch.linspace(*ends, num_timesteps, dtype=torch.float32, device='cpu')
        self.betas = 1 - kept.double()
        self.alphas_cumprod = kept.cumprod(0).double()
