"""Refuse to write two predictions to one file."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmseg.evaluation import IoUMetric

from mmdiffseg.evaluation.prediction_names import PredictionNames
from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class PredictionNamesHook(Hook):
    """Looks for samples of one name before a metric writes predictions, in whatever process.

    mmseg's ``IoUMetric`` names a file by its image alone, our metrics by ``sample_id`` where there
    is one.
    """

    def before_val(self, runner: Runner) -> None:
        """Compare the names of the validation samples; see :meth:`before_test`."""
        _check_names(runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Compare the names of the test samples.

        Raises:
            ValueError: Two of them have the same name.
        """
        _check_names(runner.test_loop)


def _check_names(loop: BaseLoop) -> None:
    dataset = loop.dataloader.dataset
    for metric in loop.evaluator.metrics:
        if getattr(metric, 'output_dir', None) is None:
            continue
        names = PredictionNames('.png', by_image=isinstance(metric, IoUMetric))
        for index in range(len(dataset)):
            sample = dataset.get_data_info(index)
            if 'img_path' in sample:
                names.claim(sample)
