"""Categorical diffusion that hides pixels until they are known."""

import torch
from torch import Tensor

from mmdiffseg.diffusion.categorical import CategoricalDiffusion, at_time, cast_like
from mmdiffseg.diffusion.discrete import DiscreteSchedule
from mmdiffseg.registry import NOISE_SCHEDULES


@NOISE_SCHEDULES.register_module()
class AbsorbingDiffusion(CategoricalDiffusion):
    """A step hides a pixel with probability beta_t; a hidden pixel is in state K and stays so.

    After D3PM (Austin et al., 2021). The network sees S = K + 1 states and tells K classes. At the
    last time every pixel is hidden, whatever the schedule's last abar.

    Args:
        num_classes: Number K of classes, at least 2.
        schedule: Discrete schedule, or its config.
        ignore_index: Label of the pixels without a class. They are hidden at every time.
        train_times: See :class:`CategoricalDiffusion`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        schedule: DiscreteSchedule | dict,
        ignore_index: int = 255,
        train_times: str = 'uniform',
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            schedule=schedule,
            ignore_index=ignore_index,
            train_times=train_times,
        )
        for table in (self._kernel_table, self._marginal_table):
            table[-1] = 0

    @property
    def num_states(self) -> int:
        """The classes and the hidden state."""
        return self.num_classes + 1

    def prior(self) -> Tensor:
        """See :meth:`CategoricalDiffusion.prior`: hidden."""
        return torch.eye(self.num_states, dtype=torch.float64)[-1]

    def jump(self, t: Tensor, s: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.jump`: the shares that stay hidden and that appear."""
        self._check_times(t, s)
        stays = (1 - at_time(self._marginal_table, s)) / (1 - at_time(self._marginal_table, t))
        return torch.stack([stays, 1 - stays])

    def reverse(self, z_t: Tensor, x0: Tensor, jump: Tensor) -> Tensor:
        """See :meth:`CategoricalDiffusion.reverse`: hidden pixels may appear, others stay."""
        x0 = self._probs(x0)[:, : self.num_classes]
        z_t = self._probs(z_t, x0.dtype)
        seen, hidden = z_t.split([self.num_classes, 1], dim=1)
        stays, appears = (cast_like(number, z_t) for number in jump)
        return torch.cat([seen + hidden * appears * x0, hidden * stays], dim=1)
