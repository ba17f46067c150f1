"""Categorical diffusion after DDIM: pixels that are not drawn anew keep their class."""

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import UniformDiffusion, at_time, cast_like
from mmdiffseg.diffusion.discrete import DiscreteSchedule
from mmdiffseg.registry import NOISE_SCHEDULES


@NOISE_SCHEDULES.register_module()
class ImplicitUniformDiffusion(UniformDiffusion):
    """The non-Markovian process with the marginals of :class:`UniformDiffusion`.

    DDIM for label maps (Song et al., 2021, appendix A). A network that was trained for one serves
    the other. Given the clean map, a step keeps a share of the present classes:

        q(z_s | z_t, x0) = Cat(sigma z_t + (abar_s - sigma abar_t) x0 + eta (1 - abar_s) / K),
        sigma = (1 - eta) (1 - abar_s) / (1 - abar_t)

    Args:
        num_classes: Number K of classes, at least 2.
        schedule: Discrete schedule, or its config.
        ignore_index: Label of the pixels without a class. They are pure noise at every time.
        eta: Share of fresh noise, in [0, 1]. At 0 (BerDiff's sampler) a pixel shows its present
            class or a predicted one; at 1 every pixel is drawn anew.
        train_times: See :class:`CategoricalDiffusion`.

    Raises:
        ValueError: ``eta`` is out of its range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        schedule: DiscreteSchedule | dict,
        ignore_index: int = 255,
        eta: float = 0.0,
        train_times: str = 'uniform',
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            schedule=schedule,
            ignore_index=ignore_index,
            train_times=train_times,
        )
        if not 0 <= eta <= 1:
            raise ValueError(f'eta must lie in [0, 1], got {eta}')
        self.eta = eta

    def jump(self, t: Tensor, s: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.jump`: factors of z_t and x0, noise of every class."""
        self._check_times(t, s)
        now, then = at_time(self._marginal_table, t), at_time(self._marginal_table, s)
        sigma = (1 - self.eta) * (1 - then) / (1 - now)
        noise = self.eta * (1 - then) / self.num_classes
        return torch.stack([sigma, then - sigma * now, noise])

    def reverse(self, z_t: Tensor, x0: Tensor, jump: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.reverse`."""
        x0 = self._probs(x0)
        of_present, of_clean, noise = (cast_like(number, x0) for number in jump)
        return of_present * self._probs(z_t, x0.dtype) + of_clean * x0 + noise
