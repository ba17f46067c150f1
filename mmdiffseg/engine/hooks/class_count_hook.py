"""Compare the number of classes of the model with that of the data."""

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.models import DepthEstimator
from torch import nn
from torch.utils.data import Dataset

from mmdiffseg.registry import HOOKS


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Stops a run whose head has another number of classes than its data.

    Spare classes would train, and predictions of them would count nowhere in mmseg's metrics.
    Depths, and data sets without classes, pass.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare with the training data; see :meth:`before_test`."""
        _compare(runner.model, runner.train_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Compare with the test data.

        Raises:
            ValueError: The numbers differ.
        """
        _compare(runner.model, runner.test_dataloader.dataset)


def _compare(model: nn.Module, dataset: Dataset) -> None:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    if isinstance(model, DepthEstimator):  # the classes of NYU are rooms
        return
    data = dataset.metainfo
    for name in ('decode_head', 'panoptic_head'):
        head = getattr(model, name, None)
        # kinds of classes: the attribute of the head -> the key of the data set
        kinds = {'num_classes': 'classes'}
        if 'thing_classes' in data:
            kinds |= {'num_things_classes': 'thing_classes', 'num_stuff_classes': 'stuff_classes'}
        for attribute, key in kinds.items():
            count, classes = getattr(head, attribute, None), data.get(key)
            if classes and count is not None and count != len(classes):
                raise ValueError(
                    f'{name}.{attribute} is {count}, and the data have {len(classes)} {key}: set '
                    'it to that, or metainfo of the data set'
                )
