"""Names and colours of the classes of a model."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS
from mmseg.models.segmentors import DepthEstimator
from torch import nn

from mmdiffseg.apis.palette import colours
from mmdiffseg.engine.model_head import model_head


def describe_classes(
    model: nn.Module, config: Config, stored: dict[str, Any] | None
) -> dict[str, Any]:
    """Find the names and colours of the classes.

    Args:
        model: The model, which knows their number.
        config: Its config; the data set in it may name them.
        stored: ``dataset_meta`` of a checkpoint, which goes before.

    Returns:
        ``classes`` and ``palette``, empty for depth. A single class has the background beside it;
        names that nobody knows are numbers.
    """
    if isinstance(model, DepthEstimator):
        return dict(classes=[], palette=[])
    known = {**_of_dataset(config), **(stored or {})}
    classes = known.get('classes') or [f'class {n}' for n in range(_count(model))]
    palette = known.get('palette')
    if len(classes) == 1:
        classes, palette = ('background', *classes), None
    if not isinstance(palette, list | tuple) or len(palette) < len(classes):
        palette = colours(classes)
    return dict(classes=list(classes), palette=[list(map(int, colour)) for colour in palette])


def _of_dataset(config: Config) -> dict[str, Any]:
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:  # a wrapper
        dataset = dataset['dataset']
    if 'type' not in dataset:
        return {}
    scope = config.get('default_scope')
    with DATASETS.switch_scope_and_registry(scope) as registry:
        kind = registry.get(dataset['type'])
    return {**getattr(kind, 'METAINFO', {}), **dataset.get('metainfo', {})}


def _count(model: nn.Module) -> int:
    head = model_head(model)
    if isinstance(head, nn.ModuleList):  # a cascade, whose last head decides
        head = head[-1]
    return getattr(head, 'num_classes', 0)
