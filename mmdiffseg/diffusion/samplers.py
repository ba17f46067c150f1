"""Samplers: the reverse process as pure step functions, and as classes built from configs.

A sampler knows neither the network nor the labels. It is handed ``predict(z_t, t)``, which returns
what is believed about the clean map, and walks from noise towards it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mmdiffseg.diffusion.discrete import DiscreteSchedule
from mmdiffseg.diffusion.randomness import Generators, randn
from mmdiffseg.diffusion.schedules import ContinuousSchedule
from mmdiffseg.registry import NOISE_SCHEDULES, SAMPLERS

VARIANCES = ('fixed_small', 'fixed_large', 'learned_range')


class Prediction(NamedTuple):
    """What a denoiser says about one noisy map.

    Attributes:
        x0: Estimate of the clean encoded map (B, C, h, w), in the encoder's range.
        logits: The task's raw output it was encoded from, e.g. class logits (B, K, h, w).
        variance: Where between the smallest (0) and the largest (1) the variance of the next
            ancestral step lies, on a log scale, shape of ``x0``; for networks that learn it.
    """

    x0: Tensor
    logits: Tensor
    variance: Tensor | None = None


class Step(NamedTuple):
    """What a callback sees after each denoiser call.

    Attributes:
        index: Number of the step, 0 .. steps - 1.
        t: Time of the step.
        z_t: Noisy map (B, C, h, w) that went into the denoiser.
        x0: Its estimate of the clean map (B, C, h, w).
        logits: Its raw output.
    """

    index: int
    t: float
    z_t: Tensor
    x0: Tensor
    logits: Tensor


class Coefficients(NamedTuple):
    """Schedule values at time ``t``.

    Scalar tensors on the CPU, in the precision of the schedule: they multiply a map on any device
    without waiting for it, and do not change its type.
    """

    t: float
    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor


Predict = Callable[[Tensor, Tensor], Prediction]
Callback = Callable[[Step], bool | None]


def ddim_step(
    z_t: Tensor,
    x0: Tensor,
    now: Coefficients,
    then: Coefficients,
    *,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """One DDIM step (Song et al. 2021, eq. 12); eta 0 is deterministic, eta 1 ancestral.

    Args:
        z_t: Noisy map at the time of ``now``.
        x0: Estimate of the clean map, same shape.
        now: Schedule at the present time.
        then: Schedule at the next, cleaner time.
        eta: Share of fresh noise.
        noise: Standard normal, shape of ``z_t``; needed when ``eta`` > 0.

    Returns:
        The map at the next time, shape of ``z_t``.
    """
    sigma = now.sigma.clamp(min=1e-8)
    if eta == 0:
        return then.alpha * x0 + then.sigma * ((z_t - now.alpha * x0) / sigma)
    # sigma_eta^2 = eta^2 (sigma_s^2 / sigma_t^2) (1 - alpha_t^2 / alpha_s^2)
    fresh = eta * then.sigma / sigma * (1 - (now.alpha / then.alpha) ** 2).clamp(min=0).sqrt()
    kept = (then.sigma**2 - fresh**2).clamp(min=0).sqrt() / sigma
    # then.alpha x0 + kept (z_t - now.alpha x0) + fresh noise, in three passes over maps that may be
    # a hundred masks of the size of the image
    z = kept * z_t
    z.add_(x0, alpha=(then.alpha - kept * now.alpha).item())
    return z.add_(noise, alpha=fresh.item())


def ddpm_step(
    z_t: Tensor,
    x0: Tensor,
    now: Coefficients,
    then: Coefficients,
    *,
    noise: Tensor | None,
    variance: str = 'fixed_small',
    fraction: Tensor | None = None,
) -> Tensor:
    """One ancestral step: a draw from q(z_s | z_t, x0) (Ho et al. 2020, eq. 6-7, in log-SNR form).

    Args:
        z_t: Noisy map at the time of ``now``.
        x0: Estimate of the clean map, same shape.
        now: Schedule at the present time t.
        then: Schedule at the next, cleaner time s.
        noise: Standard normal, shape of ``z_t``; None gives the posterior's mean.
        variance: Of the noise: ``fixed_small`` is the posterior's, ``fixed_large`` that of the
            forward step from s to t (beta_t), ``learned_range`` lies between the two.
        fraction: For the last, see :attr:`Prediction.variance`.

    Returns:
        The map at the next time, shape of ``z_t``.
    """
    c = -torch.expm1(now.log_snr - then.log_snr)
    mean = then.alpha * (z_t * ((1 - c) / now.alpha) + c * x0)
    if noise is None:
        return mean
    small = (then.sigma**2 * c).clamp(min=1e-20)
    large = (1 - (now.alpha / then.alpha) ** 2).clamp(min=1e-20)
    if variance == 'fixed_small':
        return mean + small.sqrt() * noise
    if variance == 'fixed_large':
        return mean + large.sqrt() * noise
    log_variance = fraction * large.log() + (1 - fraction) * small.log()
    return mean + (0.5 * log_variance).exp() * noise


@dataclass(kw_only=True)
class Sampler:
    """Walks the reverse process; subclasses say how one step is made.

    Args:
        schedule: The noise schedule the network was trained with, or its config.
        spacing: Where the evaluation times lie, see ``time_pairs`` of the schedule.
        time_difference: Extra intervals each step jumps ahead; this and the next two for
            continuous schedules only, see :meth:`ContinuousSchedule.time_pairs`.
        t_min: Cleanest time of the chain.
        t_max: Noisiest time of the chain.
    """

    schedule: ContinuousSchedule | DiscreteSchedule | dict
    spacing: str = 'trailing'
    time_difference: float | None = None
    t_min: float | None = None
    t_max: float | None = None

    #: whether the steps add noise
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.schedule, dict):
            self.schedule = NOISE_SCHEDULES.build(self.schedule)

    def time_pairs(self, steps: int) -> list[tuple[float, float]]:
        """The (t_now, t_next) of every step of a chain of ``steps``."""
        names = ('spacing', 'time_difference', 't_min', 't_max')
        options = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in options.items() if value is not None}
        return self.schedule.time_pairs(steps, **given)

    def coefficients(self, times: list[float]) -> list[Coefficients]:
        """Schedule values at ``times``."""
        t = torch.tensor(times)
        alpha, sigma = self.schedule.alpha_sigma(t)
        columns = (times, alpha, sigma, self.schedule.log_snr(t))
        return [Coefficients(*row) for row in zip(*columns, strict=True)]

    def step(
        self,
        z_t: Tensor,
        prediction: Prediction,
        now: Coefficients,
        then: Coefficients,
        noise: Tensor | None,
    ) -> Tensor:
        """Move ``z_t`` from one time to the next, given what is believed about the clean map.

        Args:
            z_t: Noisy map (B, C, h, w).
            prediction: The network's, for this map and time.
            now: Schedule at the present time.
            then: Schedule at the next time.
            noise: Standard normal, same shape, for a stochastic sampler.
        """
        raise NotImplementedError

    @torch.no_grad()
    def sample(
        self,
        predict: Predict,
        noise: Tensor,
        steps: int,
        *,
        step_noise: Sequence[Tensor] | None = None,
        generator: Generators = None,
        callback: Callback | None = None,
    ) -> Prediction:
        """Run a chain from noise.

        Args:
            predict: Maps (z_t (B, C, h, w), t (1,)) to a :class:`Prediction`.
            noise: Standard normal start (B, C, h, w).
            steps: Number of denoiser calls, at least 1.
            step_noise: Standard normal maps (B, C, h, w) that the steps add, one for each but the
                last, instead of drawn ones.
            generator: Draws the noise that stochastic steps add; one, or one per sample.
            callback: Called with every :class:`Step`; returning True ends the chain there.

        Returns:
            The last step's prediction.
        """
        pairs = self.time_pairs(steps)
        nows = self.coefficients([now for now, _ in pairs])
        thens = self.coefficients([then for _, then in pairs])
        z_t = noise
        for index, (t, _) in enumerate(pairs):
            # filled on the device: copying a number there would wait for it
            prediction = predict(z_t, torch.full((1,), t, device=noise.device))
            stop = callback is not None and callback(
                Step(index, t, z_t, prediction.x0, prediction.logits)
            )
            if stop or index == steps - 1:
                break
            fresh = None
            if step_noise is not None:
                fresh = step_noise[index]
            elif self.stochastic:
                fresh = randn(z_t.shape, generator=generator, device=z_t.device)
            z_t = self.step(z_t, prediction, nows[index], thens[index], fresh)
        return prediction


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class DDIMSampler(Sampler):
    """DDIM; DDP's default is ``eta=0, time_difference=1``.

    Args:
        eta: Share of fresh noise in each step, in [0, 1].
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ValueError(f'eta must lie in [0, 1], got {self.eta}')
        self.stochastic = self.eta > 0

    def step(self, z_t, prediction, now, then, noise):
        """See :func:`ddim_step`."""
        return ddim_step(z_t, prediction.x0, now, then, eta=self.eta, noise=noise)


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class DDPMSampler(Sampler):
    """Ancestral sampling; a step that ends at the clean time adds no noise.

    Args:
        variance: Of the noise that a step adds, see :func:`ddpm_step`.
    """

    variance: str = 'fixed_small'

    stochastic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variance not in VARIANCES:
            raise ValueError(f'variance must be one of {VARIANCES}, got {self.variance!r}')

    def step(self, z_t, prediction, now, then, noise):
        """See :func:`ddpm_step`."""
        # drawn even where it is not used, as the authors do: the stream of numbers stays the same
        ends = then.t == self.schedule.clean_time
        return ddpm_step(
            z_t,
            prediction.x0,
            now,
            then,
            noise=None if ends else noise,
            variance=self.variance,
            fraction=prediction.variance,
        )
