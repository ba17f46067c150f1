"""The average of the weights as improved-diffusion and SegDiff keep it."""

from mmengine.hooks import EMAHook
from mmengine.runner import Runner

from mmdiffseg.engine.optim_wrappers import GuardedOptimWrapper
from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class UpdateEMAHook(EMAHook):
    """mmengine's ``EMAHook``, averaging from the initial weights on and once per update made.

    mmengine's own starts from the weights after the first iteration, and goes on averaging where
    an update was left out or gradients were only accumulated.

    Args:
        momentum: Share of the new weights in each update, 1e-4 for the authors' rate of 0.9999.
    """

    def __init__(self, *, momentum: float = 1e-4) -> None:
        # whether a checkpoint fits is left to CheckpointMatchHook, which lets fine-tuning pass
        super().__init__(momentum=momentum, strict_load=False)

    def before_run(self, runner: Runner) -> None:
        """Copy the initial weights."""
        super().before_run(runner)
        self.ema_model.steps.fill_(1)  # at 0 the first call would copy instead of average

    def before_train(self, runner: Runner) -> None:
        """Look at the optimizer wrapper.

        Raises:
            TypeError: If it does not count its updates.
        """
        super().before_train(runner)
        if not isinstance(runner.optim_wrapper, GuardedOptimWrapper):
            raise TypeError(
                'UpdateEMAHook needs optim_wrapper.type=mmdiffseg.GuardedOptimWrapper, which '
                f'counts the updates it makes, got {type(runner.optim_wrapper).__name__}'
            )
        self._updates = runner.optim_wrapper.updates

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Average, if this iteration updated the weights."""
        if runner.optim_wrapper.updates > self._updates:
            self._updates = runner.optim_wrapper.updates
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
