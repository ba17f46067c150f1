"""Predictions beside the truth, for the labelled pictures of a config."""

from collections.abc import Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import DataLoader, Dataset, Subset

from mmdiffseg.apis.load import load
from mmdiffseg.apis.segmenter import Segmenter
from mmdiffseg.apis.tasks import OrdinaryTask
from mmdiffseg.engine import launch
from mmdiffseg.evaluation.trust.labelled import LabelledPrediction, with_truth


def load_for_report(cfg: Config, checkpoint: str) -> Segmenter:
    """Load a model with all that it says of its uncertainty.

    Raises:
        ValueError: It is no model that segments a picture by itself.
    """
    launch.import_models(cfg)
    launch.show_diffusion(cfg)
    segmenter = load(config=cfg, checkpoint=checkpoint)
    if not isinstance(segmenter.task, OrdinaryTask):
        raise ValueError(
            f'{cfg.filename} needs more than a picture, and is not one that can be reported on'
        )
    return segmenter


def build_pictures(cfg: Config, split: str, *, corrupt: dict | None = None) -> Dataset:
    """Build the labelled pictures of a split.

    Args:
        cfg: The config.
        split: ``'test'`` or ``'val'``.
        corrupt: ``kind`` and ``strength`` of :class:`mmdiffseg.datasets.transforms.Corrupt`.

    Raises:
        ValueError: The config has no such split, or its pictures cannot be corrupted.
    """
    if cfg.get(f'{split}_dataloader') is None:
        raise ValueError(f'{cfg.filename} has no {split}_dataloader')
    dataset = cfg[f'{split}_dataloader'].dataset
    if corrupt:
        names = [step['type'].rpartition('.')[2] for step in dataset.get('pipeline') or ()]
        if 'LoadImageFromFile' not in names:
            raise ValueError(
                f'the {split} pipeline of {cfg.filename} has no LoadImageFromFile after which to '
                f'corrupt a picture: {", ".join(names) or "it is empty"}'
            )
        place = names.index('LoadImageFromFile') + 1
        step = dict(type='mmdiffseg.Corrupt', **corrupt)
        dataset = dataset.copy()
        dataset.pipeline = [*dataset.pipeline[:place], step, *dataset.pipeline[place:]]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmseg')):
        return DATASETS.build(dataset)


@torch.no_grad()
def predict(
    segmenter: Segmenter, pictures: Dataset, indices: Sequence[int], loader: dict
) -> Iterator[LabelledPrediction]:
    """Predict some pictures, in order.

    Args:
        segmenter: The model.
        pictures: See :func:`build_pictures`.
        indices: Which of them.
        loader: ``batch_size`` and ``num_workers`` are those of this config of a loader.
    """
    batches = DataLoader(
        Subset(pictures, indices),
        batch_size=loader.get('batch_size', 1),
        num_workers=loader.get('num_workers', 0),
        collate_fn=list,
    )
    for items in batches:
        answers = segmenter.task.predict(items, None)
        for answer, item in zip(answers, items, strict=True):
            yield with_truth(answer, item['data_samples'])
