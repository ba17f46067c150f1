"""The progress of a training in plain lines."""

import time

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Prints how far the training is, its loss, and the minutes that are left.

    Args:
        seconds: Between two lines.
    """

    priority = 'VERY_LOW'

    def __init__(self, *, seconds: float = 20.0) -> None:
        self.seconds = seconds

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._first = runner.iter
        self._start = self._said = time.monotonic()
        self._losses = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Print a line if it is time for one, and after the last iteration."""
        self._losses.append(outputs['loss'].detach())
        done, now = runner.iter + 1, time.monotonic()
        if now < self._said + self.seconds and done < runner.max_iters:
            return
        left = (now - self._start) / (done - self._first) * (runner.max_iters - done)
        loss = torch.stack(self._losses).mean().item()
        self._said, self._losses = now, []
        if is_main_process():
            print(
                f'iteration {done} of {runner.max_iters}, loss {loss:.4f}, {in_words(left)} left',
                flush=True,
            )


def in_words(seconds: float) -> str:
    """A time in words: ``'40 seconds'`` or ``'7 minutes'``."""
    if seconds < 90:
        return f'{seconds:.0f} seconds'
    return f'{seconds / 60:.0f} minutes'
