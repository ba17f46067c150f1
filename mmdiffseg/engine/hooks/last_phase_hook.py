"""Hooks that train the last iterations of a run in another mode of the diffusion head."""

from typing import ClassVar

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdiffseg.engine.model_head import model_head
from mmdiffseg.registry import HOOKS


class LastPhaseHook(Hook):
    """Switches a mode of the diffusion head on for the last iterations of a run.

    Args:
        last_iters: Number of iterations of the phase; with fewer iterations in all, it is the
            whole run.
    """

    #: attribute of the head that the phase sets to True
    mode: ClassVar[str]
    #: how the log calls the phase
    title: ClassVar[str]

    def __init__(self, *, last_iters: int = 5000) -> None:
        if last_iters < 1:
            raise ValueError(f'last_iters must be at least 1, got {last_iters}')
        self.last_iters = last_iters

    def before_train(self, runner: Runner) -> None:
        """Say when the phase begins, and refuse a head that has none.

        Raises:
            ValueError: If the head has no such mode.
        """
        head = self._head(runner)
        if not hasattr(head, self.mode):
            raise ValueError(
                f'{type(self).__name__} needs a head with a {self.mode} mode such as '
                f'mmdiffseg.DDPHead, got {type(head).__name__}'
            )
        print_log(f'{self.title} after iteration {self._begin(runner)}', 'current')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the head's mode for the iteration about to run, resumed runs included."""
        setattr(self._head(runner), self.mode, runner.iter >= self._begin(runner))

    def _begin(self, runner: Runner) -> int:
        return max(runner.max_iters - self.last_iters, 0)

    @staticmethod
    def _head(runner: Runner) -> nn.Module | None:
        return model_head(runner.model.module if is_model_wrapper(runner.model) else runner.model)


@HOOKS.register_module()
class SelfAlignedHook(LastPhaseHook):
    """Trains the last iterations on the model's own predictions (DDP's self-aligned denoising).

    The authors fine-tune a finished model instead; for that, set ``self_aligned=True`` in the head
    and ``load_from`` in the config.

    Args:
        last_iters: Number of iterations of the phase; with fewer iterations in all, it is the
            whole run.
    """

    mode = 'self_aligned'
    title = 'Self-aligned denoising'


@HOOKS.register_module()
class OneStepHook(LastPhaseHook):
    """Trains the last iterations for an answer in a single step, from noise alone.

    All images of a batch are at the time of a one-step chain, as in the end-to-end fine-tuning of
    Garcia et al. (Fine-Tuning Image-Conditional Diffusion Models is Easier than You Think, 2024).
    Times of longer chains are not trained any more: set ``steps=1``.

    Args:
        last_iters: Number of iterations of the phase; with fewer iterations in all, it is the
            whole run.
    """

    mode = 'one_step'
    title = 'Training for one step'
