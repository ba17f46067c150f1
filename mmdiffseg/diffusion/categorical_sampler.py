"""The reverse process over label maps: pixels change their class until the map is clean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws, classes_at
from mmdiffseg.diffusion.samplers import Chain, Moment, Predict, Sampler, Step
from mmdiffseg.registry import SAMPLERS

STATES = ('sample', 'expected')
FINALS = ('argmax', 'sample', 'probs')
COUPLINGS = ('independent', 'common')


class Noise(NamedTuple):
    """What a step draws.

    Attributes:
        state: Gumbel numbers (B, S, h, w), by which every pixel draws its state.
        clean: Uniform numbers (B, 1, 1) in [0, 1), by which all pixels of a map draw their clean
            class; None where they draw it by themselves, together with the state.
    """

    state: Tensor
    clean: Tensor | None


class LastingDraws(Draws):
    """Draws of a chain whose common numbers last for several steps.

    A uniform number is the one before with some probability; else it is a new one, and uniform
    either way.

    Args:
        draws: What is drawn from.
        persistence: The probability in [0, 1].
    """

    def __init__(self, draws: Draws, persistence: float) -> None:
        super().__init__(draws.given, generator=draws.generator)
        self.persistence = persistence
        self.number: Tensor | None = None

    def uniform(self, *args, **options) -> Tensor:
        """See :meth:`Draws.uniform`; one drawn number decides and, beyond that, is the new one."""
        number = super().uniform(*args, **options)
        if self.number is not None:
            fresh = (number - self.persistence) / max(1 - self.persistence, 1e-6)
            number = torch.where(number < self.persistence, self.number, fresh)
        self.number = number
        return number


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class CategoricalSampler(Sampler):
    """Draws a label map from the kernel's posterior at every step (CCDM, Zbinden et al., 2023).

    A denoiser sees the one-hot map of the states (B, C, h, w). What it says of the clean map goes
    through ``encode_output`` of the diffusion: ``x0`` of a step holds class probabilities
    (B, K, h, w), or that of class 1 alone (B, 1, h, w) with :class:`BernoulliDiffusion`. In the
    last step ``x0`` is where the chain ends, see ``final``.

    Given the present map, the pixels of the clean one depend on each other: an object is there, or
    it is not. A step that draws each by itself (``coupling='independent'``, as released) ignores
    this, and only many small steps make up for it. With few of them frequent answers come too
    often. ``coupling='common'`` draws the clean classes of all pixels by one random number for each
    map, and then the state given these classes. Every pixel keeps its probabilities, while pixels
    with the same doubt decide alike (comonotone coupling, in the order of the labels). Both are
    exact in the limit of many steps; docs/distributions.md compares them at few.

    A number of its own for each step (``persistence=0``) supposes that the network reads in the
    noisy map what was chosen before. Trained networks overlook much of it in much noise. Every
    step then chooses anew, and the frequent answers win. With ``persistence=0.5`` a step keeps the
    number of the step before in half of the cases, and with it the choice.

    Draws of a chain: Gumbel ``start`` and ``step0``, ``step1``, ... (B, S, h, w), one for each map
    that is drawn. The last step draws only with ``final='sample'``. With the common coupling
    uniform ``step0.clean``, ``step1.clean``, ... (B, 1, 1) join them, and
    the last step draws nothing else.

    Args:
        schedule: A :class:`CategoricalDiffusion`, or its config; its ``skip`` says how several
            steps are taken at once.
        spacing: Where the evaluation times lie. ``uniform`` is CCDM's grid but for the rounding of
            halves, which ``ccdm`` takes over. ``trailing`` spends no step on the first time, at
            which hardly any pixel is still noisy: with few steps it is less biased, and
            ``quadratic`` still less. ``log_snr`` is made for samples, ``geometric`` for their mean,
            see :func:`~mmdiffseg.diffusion.discrete.signal_time_pairs`.
        coupling: How the pixels of the clean map are drawn in a step: ``independent`` or
            ``common``, see above.
        persistence: Probability in [0, 1] that a step keeps the common number of the step before.
        state: What the chain walks over. ``expected`` carries the probabilities on in place of a
            draw from them. It is for study: it gives up the joint distribution of the pixels.
        final: Where the chain ends: the one-hot map of the most likely classes (as released) or of
            a draw, or the probabilities themselves. Only a draw follows the model's distribution:
            with few steps ``argmax`` suppresses rare answers.

    Example:
        >>> diffusion = UniformDiffusion(num_classes=2, schedule=CosineBetas(num_timesteps=250))
        >>> sampler = CategoricalSampler(schedule=diffusion, final='sample')
        >>> options = dict(shape=(1, 2, 8, 8), steps=25, draws=Draws())
        >>> *_, last = sampler.walk(predict, diffusion.encode_output, **options)
        >>> diffusion.decode(last.x0).shape
        torch.Size([1, 8, 8])
    """

    schedule: CategoricalDiffusion | dict
    spacing: str = 'uniform'
    coupling: str = 'independent'
    persistence: float = 0.0
    state: str = 'sample'
    final: str = 'argmax'

    follows: ClassVar[type] = CategoricalDiffusion

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (('coupling', COUPLINGS), ('state', STATES), ('final', FINALS)):
            if getattr(self, name) not in known:
                raise ValueError(f'{name} must be one of {known}, got {getattr(self, name)!r}')
        if self.coupling == 'common' and self.state == 'expected':
            raise ValueError("state='expected' draws nothing: coupling='common' has no effect")
        if not 0 <= self.persistence <= 1:
            raise ValueError(f'persistence={self.persistence} is no probability: 0 to 1')
        if self.persistence and self.coupling != 'common':
            raise ValueError(
                f'persistence={self.persistence} keeps a common number, which '
                f"coupling={self.coupling!r} does not draw: set coupling='common' or persistence=0"
            )
        self.stochastic = self.state == 'sample'

    @torch.no_grad()
    def walk(
        self,
        predict: Predict,
        encode: Callable[[Any], Tensor],
        *,
        steps: int,
        draws: Draws,
        **options,
    ) -> Chain:
        """See :meth:`Sampler.walk`; ``x0`` of the last step is where the chain ends."""
        if self.persistence:
            draws = LastingDraws(draws, self.persistence)
        for step in super().walk(predict, encode, steps=steps, draws=draws, **options):
            if step.index == steps - 1:
                step.x0 = self.end(step, draws)
            yield step

    def coefficients(self, times: list[int]) -> list[Moment]:
        """The times themselves; the kernels know the rest."""
        return [Moment(t) for t in times]

    def corrupt(self, x0: Tensor, noise: Tensor, now: Moment) -> Tensor:
        """A given map of class probabilities (B, C, h, w), drawn at a time."""
        probs = self.schedule.marginal(x0, torch.tensor([now.t]))
        return self.schedule.one_hot(self.schedule.draw(probs, noise))

    def start(self, noise: Tensor) -> Tensor:
        """One-hot map (B, C, h, w) of pure noise."""
        return self.schedule.one_hot(self.schedule.start(noise))

    def step_noise(
        self, draws: Draws, name: str, shape: Sequence[int], device: torch.device
    ) -> Noise:
        """See :class:`Noise`."""
        state = self.schedule.draw_noise(draws, name, shape, device)
        return Noise(state, self._common(draws, name, shape, device))

    def step(self, seen: Sequence[Step], then: Moment, noise: Noise | None) -> Tensor:
        """See :meth:`Sampler.step`."""
        if self.state == 'expected':
            return self._posterior(seen[-1], then.t)
        probs = self._posterior(seen[-1], then.t, noise.clean)
        return self.schedule.one_hot(self.schedule.draw(probs, noise.state))

    def end(self, step: Step, draws: Draws) -> Tensor:
        """Where a chain ends after its last step, shape of ``step.x0``."""
        name, shape, device = f'step{step.index}', step.z_t.shape, step.z_t.device
        clean = self._common(draws, name, shape, device) if self.final == 'sample' else None
        probs = self._posterior(step, self.schedule.clean_time, clean)
        channels = step.x0.shape[1]  # no pixel is hidden any more
        if self.final == 'probs':
            return probs[:, :channels]
        if self.final == 'argmax' or clean is not None:  # drawn already
            return self.schedule.one_hot(self.schedule.decode(probs))[:, :channels]
        noise = self.schedule.draw_noise(draws, name, shape, device)
        return self.schedule.one_hot(self.schedule.draw(probs, noise))[:, :channels]

    def _common(
        self, draws: Draws, name: str, shape: Sequence[int], device: torch.device
    ) -> Tensor | None:
        if self.coupling == 'independent':
            return None
        return draws.uniform(f'{name}.clean', (shape[0], 1, 1), device=device)

    def _posterior(self, step: Step, s: int, clean: Tensor | None = None) -> Tensor:
        x0 = step.x0
        if clean is not None:
            x0 = classes_at(clean, self.schedule.all_states(x0))
        # times on the CPU: a table is read there without waiting for the device
        t, s = torch.tensor([step.t]), torch.tensor([s])
        return self.schedule.posterior(step.z_t, x0, t, s)
