"""An optimizer wrapper that survives a few bad gradients, and gives up on a run that is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from mmdiffseg.registry import OPTIM_WRAPPERS

DTYPES = ('float32', 'bfloat16', 'float16')


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(OptimWrapper):
    """Leaves out updates whose gradients are not finite; too many in a row end the run.

    It takes the place of mmengine's ``AmpOptimWrapper``, which runs on GPUs only and would skip
    every step of a collapsed float16 run until its end, the trouble SegDiff's users report most.

    Args:
        optimizer: The optimizer.
        dtype: Of the forward pass: ``'float32'``, or ``'bfloat16'`` or ``'float16'`` by autocast.
            float16 scales the loss from 2^20 on, up by 0.1% with every good step and down by half
            with every bad one, about as SegDiff's code does.
        max_skips: Updates that may be left out in a row; one more ends the run.
        accumulative_counts: Iterations per update.
        clip_grad: See mmengine's ``OptimWrapper``.
    """

    def __init__(
        self,
        *,
        optimizer: torch.optim.Optimizer,
        dtype: str = 'float32',
        max_skips: int = 50,
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
    ) -> None:
        super().__init__(optimizer, accumulative_counts=accumulative_counts, clip_grad=clip_grad)
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {DTYPES}, got {dtype!r}')
        self.device = get_device()
        self.dtype = getattr(torch, dtype)
        self.max_skips = max_skips
        self.loss_scaler = torch.amp.GradScaler(
            self.device,
            init_scale=2.0**20,
            growth_factor=2**0.001,
            backoff_factor=0.5,
            growth_interval=1,
            enabled=self.dtype == torch.float16,
        )
        #: updates made and updates left out since the run began
        self.updates = 0
        self.skips = 0
        self._skips_in_a_row = 0

    def backward(self, loss: torch.Tensor, **kwargs) -> None:
        """Back-propagate the scaled loss."""
        super().backward(self.loss_scaler.scale(loss), **kwargs)

    def step(self, **kwargs) -> None:
        """Update the parameters, or leave them where a gradient is not finite.

        Raises:
            FloatingPointError: More than ``max_skips`` updates were left out in a row.
        """
        self.loss_scaler.unscale_(self.optimizer)
        finite = self._gradients_are_finite()
        if finite:
            if self.clip_grad_kwargs:
                self._clip_grad()
            self.optimizer.step(**kwargs)
        self.loss_scaler.update()
        self.updates += finite
        self.skips += not finite
        self._skips_in_a_row = 0 if finite else self._skips_in_a_row + 1
        self.message_hub.update_scalar('train/skipped_updates', self.skips)
        if self._skips_in_a_row > self.max_skips:
            raise FloatingPointError(
                f'the gradients of the last {self._skips_in_a_row} updates were not finite, in '
                f'{self.dtype}: look for NaN in the images, or go on from the last checkpoint with '
                "a lower learning rate, optim_wrapper.clip_grad, or dtype='bfloat16' or 'float32'"
            )

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in ``dtype``."""
        autocast = torch.autocast(
            self.device, dtype=self.dtype, enabled=self.dtype != torch.float32
        )
        with super().optim_context(model), autocast:
            yield

    def state_dict(self) -> dict:
        """The optimizer's state with that of the loss scale and the counters."""
        guard = dict(
            loss_scaler=self.loss_scaler.state_dict(), updates=self.updates, skips=self.skips
        )
        return {**super().state_dict(), 'guard': guard}

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` returned, or the state of another wrapper."""
        state_dict = dict(state_dict)
        guard = state_dict.pop('guard', None)
        if guard is not None:
            self.updates, self.skips = guard['updates'], guard['skips']
            if guard['loss_scaler'] and self.loss_scaler.is_enabled():
                self.loss_scaler.load_state_dict(guard['loss_scaler'])
        super().load_state_dict(state_dict)

    def _gradients_are_finite(self) -> bool:
        groups = self.optimizer.param_groups
        grads = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        return bool(torch.stack(torch._foreach_norm(grads)).isfinite().all())
