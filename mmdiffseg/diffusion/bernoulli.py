"""Categorical diffusion of two classes with one channel: the probability of class 1."""

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import UniformDiffusion, cast_like
from mmdiffseg.diffusion.discrete import DiscreteSchedule
from mmdiffseg.registry import NOISE_SCHEDULES


@NOISE_SCHEDULES.register_module()
class BernoulliDiffusion(UniformDiffusion):
    """:class:`UniformDiffusion` of two classes, told by the probability of class 1 alone.

    Maps of probabilities are (B, 1, h, w), as a network of one output channel and a sigmoid gives
    them. Draws still take noise (B, 2, h, w): the same noise draws the same labels. After BerDiff
    (Chen et al., Conditional Bernoulli Diffusion for Medical Image Segmentation, 2023), whose
    released forward process leaves out the (1 - abar_t) / 2.

    Args:
        schedule: Discrete schedule, or its config.
        ignore_index: Label of the pixels without a class. They are pure noise at every time.
        skip: See :class:`UniformDiffusion`.
        parametrization: See :class:`UniformDiffusion`.
        train_times: See :class:`CategoricalDiffusion`.
    """

    def __init__(
        self,
        *,
        schedule: DiscreteSchedule | dict,
        ignore_index: int = 255,
        skip: str = 'exact',
        parametrization: str = 'expected',
        train_times: str = 'uniform',
    ) -> None:
        super().__init__(
            num_classes=2,
            schedule=schedule,
            ignore_index=ignore_index,
            skip=skip,
            parametrization=parametrization,
            train_times=train_times,
        )

    @property
    def channels(self) -> int:
        """A network sees the probability of class 1."""
        return 1

    def encode_output(self, logits: Tensor) -> Tensor:
        """Probability (B, 1, h, w) of class 1 that logits (B, 2, h, w) stand for."""
        return super().encode_output(logits)[:, 1:]

    def one_hot(self, labels: Tensor) -> Tensor:
        """Probability (B, 1, h, w), float32, of class 1; one half where ignored."""
        return super().one_hot(labels)[:, 1:]

    def reverse(self, z_t: Tensor, x0: Tensor, jump: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.reverse`, with one channel for two."""
        x0 = self._probs(x0)
        like, known, unknown = self._likelihood(self._probs(z_t, x0.dtype), jump)

        def given(clean: int | Tensor) -> Tensor:
            one = like * (known * clean + unknown)
            zero = (1 - like) * (known * (1 - clean) + unknown)
            return one / (one + zero)

        if self.parametrization == 'soft_x0':
            return given(x0)
        return x0 * given(1) + (1 - x0) * given(0)

    def start(self, noise: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.start`."""
        return noise.argmax(dim=1)  # both classes are equally likely

    def all_states(self, probs: Tensor) -> Tensor:
        """Probabilities (B, 2, h, w) of both classes."""
        return torch.cat([1 - probs, probs], dim=1)

    def _towards_prior(self, x: Tensor, untouched: Tensor) -> Tensor:
        return cast_like(untouched, x) * x + cast_like((1 - untouched) / 2, x)
