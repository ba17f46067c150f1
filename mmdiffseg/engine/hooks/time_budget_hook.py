"""End a training when its time is over."""

import time

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Makes the iteration in which the time runs out the last one, which is saved and validated.

    A schedule of the learning rate ends where it is then, so plan it for the time there is.

    Args:
        minutes: Of training, counted from its start or from where it is resumed.
    """

    priority = 'ABOVE_NORMAL'  # ahead of the hooks that ask whether it is the last iteration

    def __init__(self, *, minutes: float) -> None:
        self.minutes = minutes

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._end = time.monotonic() + 60 * self.minutes

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._end and runner.iter + 1 < runner.max_iters:
            runner.train_loop._max_iters = runner.iter + 1
