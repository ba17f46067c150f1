"""Samplers: the reverse process as pure step functions, and as loops built from configs.

A sampler knows neither the network nor the labels. It walks from noise to a clean map, asks a
function for what the denoiser says of each map on the way, and yields that as a :class:`Step`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mmdiffseg.diffusion.corruption import GaussianSchedule
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.start import Start
from mmdiffseg.registry import NOISE_SCHEDULES, SAMPLERS

VARIANCES = ('fixed_small', 'fixed_large', 'learned_range')


class Coefficients(NamedTuple):
    """Schedule values at time ``t``.

    Scalar tensors on the CPU, in the precision of the schedule: they multiply a map on any device
    without waiting for it, and do not change its type.
    """

    t: float
    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor


class Moment(NamedTuple):
    """Where a chain without coefficients stands, such as one of label maps."""

    t: int


@dataclass(kw_only=True, eq=False)
class Step:
    """One call of the denoiser within a chain.

    Attributes:
        index: Number of the step, 0 .. steps - 1.
        now: Schedule at its time; a :class:`Moment` in categorical diffusion.
        z_t: Noisy map (B, C, h, w) that went into the denoiser.
        output: What the denoiser says in the task's terms, such as class logits (B, K, h, w).
        variance: Where between the smallest (0) and the largest (1) the variance of the next
            ancestral step lies, on a log scale, shape of ``z_t``; for networks that learn it.
        encode: Turns the output into an estimate of the clean map.
    """

    index: int
    now: Coefficients | Moment
    z_t: Tensor
    output: Any
    variance: Tensor | None
    encode: Callable[[Any], Tensor]

    @property
    def t(self) -> float:
        """Time of the step."""
        return self.now.t

    @cached_property
    def x0(self) -> Tensor:
        """Estimate of the clean map, shape of ``z_t``; made when it is asked for."""
        # whoever asks first may compute gradients, which no chain needs
        with torch.no_grad():
            return self.encode(self.output)


#: maps z_t (B, C, h, w) and t (1,) to the output and, for networks that learn it, the variance
Predict = Callable[[Tensor, Tensor], tuple[Any, Tensor | None]]
#: one chain, step by step
Chain = Iterator[Step]


def last_step(chain: Chain) -> Step:
    """Walk a chain to its end."""
    (step,) = deque(chain, maxlen=1)
    return step


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
        fraction: For ``learned_range``, see :attr:`Step.variance`.

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
        time_difference: Extra intervals each step jumps ahead. This option, ``t_min`` and ``t_max``
            are for continuous schedules, see :meth:`ContinuousSchedule.time_pairs`.
        t_min: Cleanest time of the chain.
        t_max: Noisiest time of the chain.

    Example:
        >>> sampler = DDIMSampler(schedule=dict(type='CosineLogSNR'))
        >>> chain = sampler.walk(predict, encode, shape=(2, 3, 8, 8), steps=10, draws=Draws())
        >>> for step in chain:
        ...     print(step.index, step.t, step.output.shape)
    """

    schedule: GaussianSchedule | dict
    spacing: str = 'trailing'
    time_difference: float | None = None
    t_min: float | None = None
    t_max: float | None = None

    #: the schedules that it can follow
    follows: ClassVar[type] = GaussianSchedule
    #: whether the steps add noise
    stochastic: ClassVar[bool] = False
    #: how many steps a solver looks at: 1 for single-step methods
    memory: ClassVar[int] = 1
    #: whether each step must begin where the one before ended, which ``time_difference`` breaks
    chained: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.schedule, dict):
            self.schedule = NOISE_SCHEDULES.build(self.schedule)
        if not isinstance(self.schedule, self.follows):
            raise TypeError(
                f'{type(self).__name__} follows a {self.follows.__name__}, which '
                f'{type(self.schedule).__name__} is not: choose another sampler or noise_schedule'
            )
        if self.chained and self.time_difference:
            raise ValueError(
                f'{type(self).__name__} begins each step where the one before ended: leave out '
                f'time_difference={self.time_difference}'
            )

    @torch.no_grad()
    def walk(
        self,
        predict: Predict,
        encode: Callable[[Any], Tensor],
        *,
        shape: Sequence[int],
        steps: int,
        draws: Draws,
        device: torch.device | None = None,
        draw_labels: bool = False,
        start: Start | None = None,
    ) -> Chain:
        """Walk from noise to a clean map; leaving the loop early stops the chain there.

        Args:
            predict: What the denoiser says of z_t (B, C, h, w) at t (1,): its output, and the
                variance if it learns one.
            encode: Turns an output into an estimate of the clean map (B, C, h, w).
            shape: Shape (B, C, h, w) of the map.
            steps: Number of denoiser calls, at least 1.
            draws: ``start``, and ``step0``, ``step1``, ... where the steps add noise; Gumbel
                ``label0``, ... (B, K, h, w) with ``draw_labels``.
            device: Where the map lives.
            draw_labels: Whether ``encode`` is given the output, class logits (B, K, h, w), with
                Gumbel noise added: where it encodes the argmax, that is then a draw from the
                softmax. The output of a :class:`Step` stays as it is.
            start: A map to start from in place of pure noise, encoded (B, C, h, w). The noise
                ``start`` is drawn nevertheless, and corrupts it.

        Yields:
            Every step, before the map moves on.
        """
        pairs = self.time_pairs(steps) if start is None else self.time_pairs(steps, start.strength)
        nows = self.coefficients([now for now, _ in pairs])
        thens = self.coefficients([then for _, then in pairs])
        noise = self.schedule.draw_noise(draws, 'start', shape, device)
        z_t = self.start(noise)
        if start is not None:
            given = partial(self.corrupt, start.map, noise)
            if start.strength < 1:
                z_t = given(nows[0])
            z_t = start.put_kept(z_t, partial(given, nows[0]))
        seen = deque(maxlen=self.memory)
        for index, (now, then) in enumerate(zip(nows, thens, strict=True)):
            # filled on the device: copying a number there would wait for it
            output, variance = predict(z_t, torch.full((1,), now.t, device=z_t.device))
            step = Step(
                index=index, now=now, z_t=z_t, output=output, variance=variance, encode=encode
            )
            if draw_labels:
                # drawn whether or not somebody asks for x0: the stream of numbers stays the same
                noise = draws.gumbel(f'label{index}', output.shape, device=z_t.device)
                step.encode = partial(_encode_sum, encode, noise)
            yield step
            if index == steps - 1:
                return
            seen.append(step)
            noise = None
            if self.stochastic:
                noise = self.step_noise(draws, f'step{index}', shape, z_t.device)
            z_t = self.step(seen, then, noise)
            if start is not None:
                z_t = start.put_kept(z_t, partial(given, then))

    def corrupt(self, x0: Tensor, noise: Tensor, now: Coefficients) -> Tensor:
        """A given map (B, C, h, w), corrupted to a time by noise that starts a chain."""
        return now.alpha * x0 + now.sigma * noise

    def start(self, noise: Tensor) -> Tensor:
        """The map that a chain starts from; here the noise itself."""
        return noise

    def step_noise(
        self, draws: Draws, name: str, shape: Sequence[int], device: torch.device
    ) -> Any:
        """What a step of a stochastic sampler draws, for a map of a shape (B, C, h, w)."""
        return self.schedule.draw_noise(draws, name, shape, device)

    def step(self, seen: Sequence[Step], then: Coefficients, noise: Any) -> Tensor:
        """Move the map to a cleaner time.

        Args:
            seen: The steps so far, at most ``memory`` of them; ``seen[-1]`` is where the map is.
            then: Schedule at the cleaner time.
            noise: From :meth:`step_noise`, by default standard normal of the shape of the map; None
                for a sampler that is not stochastic.

        Returns:
            The map at the cleaner time.
        """
        raise NotImplementedError

    def time_pairs(self, steps: int, strength: float = 1.0) -> list[tuple[float, float]]:
        """The (t_now, t_next) of every step of a chain of ``steps``; see :class:`Start`."""
        names = ('spacing', 'time_difference', 't_min', 't_max')
        options = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in options.items() if value is not None}
        return self.schedule.time_pairs(steps, strength=strength, **given)

    def coefficients(self, times: list[float]) -> list[Coefficients]:
        """Schedule values at ``times``."""
        t = torch.tensor(times)
        alpha, sigma = self.schedule.alpha_sigma(t)
        columns = (times, alpha, sigma, self.schedule.log_snr(t))
        return [Coefficients(*row) for row in zip(*columns, strict=True)]


def _encode_sum(encode: Callable[[Any], Tensor], noise: Tensor, output: Tensor) -> Tensor:
    return encode(output + noise)


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

    def step(self, seen, then, noise):
        """See :func:`ddim_step`."""
        step = seen[-1]
        return ddim_step(step.z_t, step.x0, step.now, then, eta=self.eta, noise=noise)


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
        first, _ = self.time_pairs(1)[0]
        alpha, _ = self.schedule.alpha_sigma(torch.tensor(first, device='cpu'))
        if alpha == 0:
            raise ValueError(
                f'{type(self).__name__} divides by the signal, and {type(self.schedule).__name__} '
                f'has none at t={first:g}: set t_max=0.999, or choose another sampler'
            )

    def step(self, seen, then, noise):
        """See :func:`ddpm_step`."""
        step = seen[-1]
        # drawn even where it is not used, as the authors do: the stream of numbers stays the same
        ends = then.t == self.schedule.clean_time
        return ddpm_step(
            step.z_t,
            step.x0,
            step.now,
            then,
            noise=None if ends else noise,
            variance=self.variance,
            fraction=step.variance,
        )
