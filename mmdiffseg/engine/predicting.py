"""Predictions of a trained model for the pictures of its config, one after the other."""

from collections.abc import Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset, Subset

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import launch
from mmdiffseg.models.weights import load_exactly


def build_model(cfg: Config, checkpoint: str) -> BaseSegmentor:
    """Build the model of a config with the weights of a checkpoint, for inference."""
    launch.import_models(cfg)
    launch.show_diffusion(cfg)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(cfg.model)
    load_exactly(model, load_checkpoint_file(checkpoint)['state_dict'], source=checkpoint)
    return model.to(get_device()).eval()


def build_dataset(cfg: Config, split: str = 'test', *, corrupt: dict | None = None) -> Dataset:
    """Build the pictures of a split.

    Args:
        cfg: The config.
        split: ``'test'`` or ``'val'``.
        corrupt: ``kind`` and ``strength`` of :class:`mmdiffseg.datasets.transforms.Corrupt`.

    Raises:
        ValueError: The config has no such split, or the picture cannot be corrupted on its way.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    if cfg.get(f'{split}_dataloader') is None:
        raise ValueError(f'{cfg.filename} has no {split}_dataloader')
    dataset = cfg[f'{split}_dataloader'].dataset
    if corrupt:
        dataset = dataset.copy()
        names = [step['type'].split('.')[-1] for step in dataset.pipeline]
        if 'LoadImageFromFile' not in names:
            raise ValueError(
                f'the {split} pipeline of {cfg.filename} has no LoadImageFromFile after which to '
                f'corrupt: it has {", ".join(names)}'
            )
        place = names.index('LoadImageFromFile') + 1
        step = dict(type='mmdiffseg.Corrupt', **corrupt)
        dataset.pipeline = [*dataset.pipeline[:place], step, *dataset.pipeline[place:]]
    return DATASETS.build(dataset)


def build_loader(
    cfg: Config, dataset: Dataset, indices: Sequence[int] | None = None, *, split: str = 'test'
) -> DataLoader:
    """Load some pictures of a data set as the config loads those of a split."""
    loader = cfg[f'{split}_dataloader'].copy()
    loader.pop('dataset')
    # a dataset is no config, and must not become one
    loader = loader.to_dict() if hasattr(loader, 'to_dict') else dict(loader)
    loader['dataset'] = dataset if indices is None else Subset(dataset, list(indices))
    return Runner.build_dataloader(loader)


@torch.no_grad()
def predict(model: BaseSegmentor, batches) -> Iterator[SegDataSample]:
    """Predict all pictures of some batches; the samples keep their labels."""
    for batch in batches:
        yield from model.test_step(batch)
