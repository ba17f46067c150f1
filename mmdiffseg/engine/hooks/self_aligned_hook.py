"""Self-aligned denoising as the last phase of one run."""

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class SelfAlignedHook(Hook):
    """Trains the last iterations on the model's own predictions (DDP's self-aligned denoising).

    The authors fine-tune a finished model instead; for that, set ``self_aligned=True`` in the head
    and ``load_from`` in the config.

    Args:
        last_iters: Number of iterations of the phase; with fewer iterations in all, it is the
            whole run.
    """

    def __init__(self, *, last_iters: int = 5000) -> None:
        if last_iters < 1:
            raise ValueError(f'last_iters must be at least 1, got {last_iters}')
        self.last_iters = last_iters

    def before_train(self, runner: Runner) -> None:
        """Say when the phase begins, and refuse a head that has none.

        Raises:
            ValueError: If the decode head has no ``self_aligned`` mode.
        """
        head = decode_head(runner)
        if not hasattr(head, 'self_aligned'):
            raise ValueError(
                f'SelfAlignedHook needs a head with a self_aligned mode such as '
                f'mmdiffseg.DDPHead, got {type(head).__name__}'
            )
        print_log(f'Self-aligned denoising after iteration {self._begin(runner)}', 'current')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the head's mode for the iteration about to run, resumed runs included."""
        decode_head(runner).self_aligned = runner.iter >= self._begin(runner)

    def _begin(self, runner: Runner) -> int:
        return max(runner.max_iters - self.last_iters, 0)


def decode_head(runner: Runner):
    """The decode head of the runner's model, through a distributed wrapper."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model.decode_head
