"""Say in one sentence that a checkpoint does not fit the model."""

import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from mmdiffseg.models.weights import check_kinds, load_exactly
from mmdiffseg.registry import HOOKS

FSDP_PREFIX = '_fsdp_wrapped_module.'


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Compares a checkpoint with the model; mmengine alone would go on with random weights.

    Args:
        strict: Raise where they differ (testing, resuming), or only warn (fine-tuning, where new
            classes are meant).
    """

    # ahead of mmengine's EMAHook, which loads the weights too and refuses them in pages
    priority = 'ABOVE_NORMAL'

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes.

        Raises:
            ValueError: If they differ and ``strict`` is set, or a training is to go on from a file
                without its state.
        """
        source = str(runner._load_from)
        meta = checkpoint.get('meta', {})
        if runner._resume and not ({'epoch', 'iter'} <= meta.keys() and 'optimizer' in checkpoint):
            raise ValueError(
                f'{source} holds weights, but no state of a training to go on with: start a new '
                f'one from it by --cfg-options load_from={source}, without --resume'
            )
        model = runner.model
        weights = checkpoint.get('state_dict', checkpoint)
        weights = {key.removeprefix('module.'): value for key, value in weights.items()}
        sharded = isinstance(model, FullyShardedDataParallel)
        if not sharded:
            while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
                model = model.module
            check_kinds(model, weights, source=source)  # whatever is fine-tuned
        try:
            if sharded:
                _compare_names(model, weights, source)
            else:
                # as in mmengine, the counters of batch norm layers may be missing
                load_exactly(model, weights, source=source, fresh=r'.*num_batches_tracked')
        except ValueError as error:
            mismatch = f'{error}{_other_classes(runner, checkpoint)}'
            if self.strict:
                raise ValueError(mismatch) from error
            print_log(
                f'{mismatch} What does not fit keeps its initial values.',
                'current',
                logging.WARNING,
            )


def _other_classes(runner: Runner, checkpoint: dict) -> str:
    """What the numbers of classes add to the explanation, if they differ."""
    trained = checkpoint.get('meta', {}).get('dataset_meta', {}).get('classes')
    for loop in (getattr(runner, name, None) for name in ('_train_loop', '_test_loop')):
        if isinstance(loop, BaseLoop) and trained:
            wanted = loop.dataloader.dataset.metainfo.get('classes')
            if wanted and len(wanted) != len(trained):
                return f' It was trained for {len(trained)} classes, the data have {len(wanted)}.'
    return ''


def _compare_names(model: FullyShardedDataParallel, weights: dict, source: str) -> None:
    """Look for all that trains: a process holds slices of it, so that shapes wait for the load."""
    parameters = model.named_parameters()
    names = [name.replace(FSDP_PREFIX, '') for name, p in parameters if p.requires_grad]
    missing = [name for name in names if name not in weights]
    if missing:
        raise ValueError(
            f'{source} does not fit {type(model.module).__name__}: {len(missing)} missing '
            f'({missing[0]}, ...). Check that the config describes the model these weights were '
            'trained with.'
        )
