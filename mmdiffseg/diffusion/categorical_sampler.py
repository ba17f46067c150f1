"""The reverse process over label maps: pixels change their class until the map is clean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Chain, Moment, Predict, Sampler, Step
from mmdiffseg.registry import SAMPLERS

STATES = ('sample', 'expected')
FINALS = ('argmax', 'sample', 'probs')


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class CategoricalSampler(Sampler):
    """Draws a label map from the kernel's posterior at every step (CCDM, Zbinden et al., 2023).

    A denoiser sees the one-hot map of the states (B, C, h, w). What it says of the clean map goes
    through ``encode_output`` of the diffusion: ``x0`` of a step holds class probabilities
    (B, K, h, w), or that of class 1 alone (B, 1, h, w) with :class:`BernoulliDiffusion`. In the
    last step ``x0`` is where the chain ends, see ``final``.

    Draws of a chain: Gumbel ``start`` and ``step0``, ``step1``, ... (B, S, h, w), one for each map
    that is drawn. The last step draws only with ``final='sample'``.

    Args:
        schedule: A :class:`CategoricalDiffusion`, or its config; its ``skip`` says how several
            steps are taken at once.
        spacing: Where the evaluation times lie. ``uniform`` is CCDM's grid but for the rounding of
            halves, which ``ccdm`` takes over. ``trailing`` spends no step on the first time, at
            which hardly any pixel is still noisy: with few steps it is less biased, and
            ``quadratic`` still less.
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
    state: str = 'sample'
    final: str = 'argmax'

    follows: ClassVar[type] = CategoricalDiffusion

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (('state', STATES), ('final', FINALS)):
            if getattr(self, name) not in known:
                raise ValueError(f'{name} must be one of {known}, got {getattr(self, name)!r}')
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

    def step(self, seen: Sequence[Step], then: Moment, noise: Tensor | None) -> Tensor:
        """See :meth:`Sampler.step`; the noise is Gumbel (B, S, h, w)."""
        probs = self._posterior(seen[-1], then.t)
        if self.state == 'expected':
            return probs
        return self.schedule.one_hot(self.schedule.draw(probs, noise))

    def end(self, step: Step, draws: Draws) -> Tensor:
        """Where a chain ends after its last step, shape of ``step.x0``."""
        probs = self._posterior(step, self.schedule.clean_time)
        channels = step.x0.shape[1]  # no pixel is hidden any more
        if self.final == 'probs':
            return probs[:, :channels]
        if self.final == 'argmax':
            return self.schedule.one_hot(self.schedule.decode(probs))[:, :channels]
        name, device = f'step{step.index}', probs.device
        noise = self.schedule.draw_noise(draws, name, step.z_t.shape, device)
        return self.schedule.one_hot(self.schedule.draw(probs, noise))[:, :channels]

    def _posterior(self, step: Step, s: int) -> Tensor:
        # times on the CPU: a table is read there without waiting for the device
        t, s = torch.tensor([step.t]), torch.tensor([s])
        return self.schedule.posterior(step.z_t, step.x0, t, s)
