"""Diffusion between two masks of one object (SegRefiner, Wang et al., 2023, arXiv 2312.12425).

Every pixel is in one of two states: ``fine``, where it shows the true label, and ``coarse``, where
it shows that of a coarse mask. Forward, pixels become coarse and stay so; at the noisiest time the
map is the coarse mask itself. Backward, a network says of each map what the true mask is, and
pixels that it is sure of become fine. No pixel ever shows anything but one of the two labels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmdiffseg.diffusion.discrete import discrete_time_pairs, share_of_times, table_at
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import Chain, Moment, Predict, Sampler, Step
from mmdiffseg.diffusion.start import Start
from mmdiffseg.registry import NOISE_SCHEDULES, SAMPLERS


@NOISE_SCHEDULES.register_module()
class TwoStateDiffusion:
    """Schedule of the two states: the share of fine pixels falls in a line, to 0 at the last time.

    Times are integers 0 .. T - 1, coarser upwards, and -1 is the end of every chain.

    Args:
        num_timesteps: Length T of the chain, at least 2.
        kept: Share of pixels that are still fine at time 0, in (0, 1).

    Raises:
        ValueError: An argument lies outside its range.

    Example:
        >>> diffusion = TwoStateDiffusion()
        >>> t = torch.tensor([0, 5])
        >>> z_t = diffusion.corrupt(truth, coarse, t, torch.rand(2, 1, 64, 64))
        >>> # a fifth of the first map is coarse, and all of the second one
    """

    #: where every chain ends
    clean_time = -1
    #: corrupts masks themselves, so that a head needs no label encoder
    encodes_labels = True
    #: number C of channels of the map that a network sees
    channels = 1

    def __init__(self, *, num_timesteps: int = 6, kept: float = 0.8) -> None:
        if num_timesteps < 2:
            raise ValueError(f'num_timesteps must be at least 2, got {num_timesteps}')
        if not 0 < kept < 1:
            raise ValueError(f'kept must lie in (0, 1), got {kept}')
        #: bbar_t, the probability (T,) that a pixel is fine at time t
        self.fine_cumprod = torch.linspace(
            kept, 0, num_timesteps, dtype=torch.float64, device='cpu'
        )

    @property
    def num_timesteps(self) -> int:
        """Length T of the chain."""
        return len(self.fine_cumprod)

    @property
    def fine_cumprod_prev(self) -> Tensor:
        """bbar_{t-1} (T,), which is 1 at t = 0."""
        return torch.cat([self.fine_cumprod.new_ones(1), self.fine_cumprod[:-1]])

    @property
    def fine(self) -> Tensor:
        """The probability (T,) that a fine pixel stays fine in the step to time t."""
        return self.fine_cumprod / self.fine_cumprod_prev

    def time_pairs(
        self, steps: int, *, spacing: str = 'first', strength: float = 1.0
    ) -> list[tuple[int, int]]:
        """The (t_now, t_next) of every step of a chain.

        Args:
            steps: Number of steps, 1 .. T.
            spacing: ``'first'`` takes the coarsest times and stops early (as released); for others,
                which end at time -1, see :func:`discrete_time_pairs`.
            strength: Share of the times that the chain may use; at 1 it starts at T - 1.
        """
        times = share_of_times(self.num_timesteps, strength)
        if spacing != 'first':
            return discrete_time_pairs(times, steps, spacing=spacing)
        if not 1 <= steps <= times:
            raise ValueError(f'steps must lie in 1 .. {times}, got {steps}')
        return [(t, t - 1) for t in range(times - 1, times - 1 - steps, -1)]

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """Times (count,) to train on, uniform over 0 .. T - 1, from the draw ``t``."""
        return draws.integers('t', 0, self.num_timesteps, (count,), device=device)

    def corrupt(self, fine: Tensor, coarse: Tensor, t: Tensor, uniform: Tensor) -> Tensor:
        """Draw z_t, whose pixels show the label of either mask.

        Args:
            fine: True masks (B, 1, h, w) of 0 and 1.
            coarse: Coarse masks, same shape.
            t: Times (B,) in 0 .. T - 1.
            uniform: Numbers from [0, 1), same shape as the masks.
        """
        return torch.where(uniform < self._at(t), fine, coarse)

    def posterior(self, confidence: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Probability that a coarse pixel at time t is fine at an earlier time s.

        By Bayes' rule p (bbar_s - bbar_t) / (1 - p bbar_t), where p is the belief that the pixel
        ends as fine. A fine pixel stays fine.

        Args:
            confidence: p (B, 1, h, w) in [0, 1].
            t: Time (B,) or (1,).
            s: Earlier time, same shape, -1 .. t - 1.
        """
        now, then = self._at(t), self._at(s)
        return confidence * (then - now).to(confidence) / (1 - confidence * now.to(confidence))

    def encode_output(self, logits: Tensor) -> Tensor:
        """Probability (B, 1, h, w) of the object that logits (B, 2, h, w) stand for."""
        return (logits[:, 1:] - logits[:, :1]).sigmoid()

    def _at(self, t: Tensor) -> Tensor:
        table = torch.cat([self.fine_cumprod.new_ones(1), self.fine_cumprod])  # from time -1 on
        return table_at(table, t + 1).view(-1, 1, 1, 1)


@dataclass(kw_only=True, eq=False)
class TwoStateStep(Step):
    """A step of a two-state chain.

    Attributes:
        fine: Probability (B, 1, h, w) that a pixel is fine at the time to which the step leads.
    """

    fine: Tensor


@SAMPLERS.register_module()
@dataclass(kw_only=True)
class TwoStateSampler(Sampler):
    """Walks back from a coarse mask; pixels change as the network becomes sure of them.

    A step's ``x0`` is the probability (B, 1, h, w) of the object, its label 1 from one half on, and
    |2 x0 - 1| the confidence in this label (paper, algorithm 2). A chain carries for each pixel the
    probability F of being fine so far. Every step draws all pixels anew: with probability F the
    present label, else the coarse one.

    Draws of a chain: uniform ``step0``, ``step1``, ... (B, 1, h, w), none in the last step; with
    ``monotone`` the first alone.

    Args:
        schedule: A :class:`TwoStateDiffusion`, or its config.
        spacing: See :meth:`TwoStateDiffusion.time_pairs`.
        mix: End as the paper's algorithm does, in F x0 + (1 - F) coarse, so that a pixel changes
            only where the network is sure; the released code ends in x0 itself.
        sure: With ``mix``, the probability in (0.5, 1) that the network has to give a label in a
            single step before a pixel changes; None leaves it at 0.81, which follows from the
            mixture above. Any other mixes by a power of F, which keeps the border at one half.
        monotone: Draw each pixel once for the whole chain, so that one which has become fine stays
            so; in the released code it may become coarse again.

    Example:
        >>> sampler = TwoStateSampler(schedule=TwoStateDiffusion())
        >>> chain = sampler.walk(predict, encode, shape=coarse.shape, steps=6, draws=Draws(),
        ...                      start=Start(map=coarse))
        >>> for step in chain:
        ...     print(step.index, step.t, step.x0.shape, step.fine.mean())
    """

    schedule: TwoStateDiffusion | dict
    spacing: str = 'first'
    mix: bool = False
    sure: float | None = None
    monotone: bool = False

    follows: ClassVar[type] = TwoStateDiffusion
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sure is not None and not (self.mix and 0.5 < self.sure < 1):
            raise ValueError(
                f'sure={self.sure!r} must be a probability above 0.5 and below 1, with mix=True'
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
        """Walk back from the coarse masks of ``start``; see :meth:`Sampler.walk`.

        Raises:
            ValueError: There is no start, or its shape is another one.
        """
        if start is None or tuple(start.map.shape) != tuple(shape):
            given = 'none' if start is None else f'one of {tuple(start.map.shape)}'
            raise ValueError(
                f'a two-state chain starts from a coarse mask of {tuple(shape)}, got {given}: give '
                'start=Start(map=mask)'
            )
        z_t = coarse = start.map
        fine = torch.zeros_like(coarse)
        for index, (now, then) in enumerate(self.time_pairs(steps, start.strength)):
            output, variance = predict(z_t, torch.full((1,), now, device=z_t.device))
            x0 = encode(output)
            # times on the CPU: a table is read there without waiting for the device
            gain = self.schedule.posterior(
                (2 * x0 - 1).abs(), torch.tensor([now]), torch.tensor([then])
            )
            fine = fine + (1 - fine) * gain
            step = TwoStateStep(
                index=index,
                now=Moment(now),
                z_t=z_t,
                output=output,
                variance=variance,
                encode=encode,
                fine=fine,
            )
            last = index == steps - 1
            step.x0 = self._mixture(x0, fine, coarse) if last and self.mix else x0
            yield step
            if last:
                return
            if index == 0 or not self.monotone:
                uniform = draws.uniform(f'step{index}', shape, device=z_t.device)
            z_t = torch.where(uniform < fine, (x0 >= 0.5).to(coarse), coarse)
            z_t = start.put_kept(z_t, lambda: coarse)

    def _mixture(self, x0: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """What a chain ends in with ``mix``: probabilities (B, 1, h, w) of the object."""
        if self.sure is not None:
            # After one step fine is |2 x0 - 1|. Where x0 and coarse differ, one half is crossed
            # at w (1 - x0) + 1 - w = 1/2, that is at a weight w = 1 / (2 x0).
            fine = fine ** (math.log(1 / (2 * self.sure)) / math.log(2 * self.sure - 1))
        return fine * x0 + (1 - fine) * coarse
