"""What a training has reached: its scores beside those of answers that never look, and a model."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor

from mmdiffseg.apis.folder.check import Facts
from mmdiffseg.apis.folder.pairs import Pairs
from mmdiffseg.apis.load import COUNTERS, build_model
from mmdiffseg.apis.model_folder import write_model_folder
from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import launch
from mmdiffseg.engine.work_dir import newest_checkpoint
from mmdiffseg.models.weights import load_exactly

#: side of the grid on which masks are averaged
GRID = 128
#: training masks that are averaged at most
MAX_MASKS = 200
#: the score that decides; more of it is better
DECIDES = {
    'mmdiffseg.BinaryMaskMetric': 'mIoU',
    'IoUMetric': 'mIoU',
    # not GED, which is low for pixel noise too
    'mmdiffseg.DistributionMetric': 'HM_IoU',
}


def make_report(
    cfg: Config, pairs: Pairs, facts: Facts, scores: dict[str, float], *, minutes: float
) -> dict[str, Any]:
    """Collect what is worth to know of a training.

    Args:
        cfg: Its config.
        pairs: The files.
        facts: What they hold.
        scores: Of the model, on the validation pictures.
        minutes: That it took.

    Returns:
        Plain data: the facts, ``scores`` of the model and of two answers that are the same for
        every picture, which of them ``decides``, and whether the model is ``better``.
    """
    constants = score_constants(cfg)
    name = DECIDES[cfg.val_evaluator.type]
    better = _called(name, scores) > max(_called(name, row) for row in constants.values())
    return dict(
        pictures=len(pairs.names),
        raters=len(pairs.mask_dirs),
        classes=dict(zip(facts.classes, facts.shares.round(6).tolist(), strict=True)),
        warnings=[*pairs.warnings, *facts.warnings],
        minutes=round(minutes, 2),
        scores={'model': scores, **constants},
        decides=name,
        better=better,
    )


def summary(report: dict[str, Any]) -> str:
    """The score that decides, of all answers, in one sentence."""
    name = report['decides']
    listed = ', '.join(
        f'{answer} {_called(name, row):.4g}' for answer, row in report['scores'].items()
    )
    return f'{name} on the validation pictures: {listed}.'


def write_report(out: Path, cfg: Config, report: dict[str, Any], *, run: Path) -> None:
    """Write ``report.json`` and the folder ``model``, which :func:`mmdiffseg.load` reads.

    Args:
        out: Where to.
        cfg: Config of the training.
        report: See :func:`make_report`.
        run: Its work dir.
    """
    (out / 'report.json').write_text(json.dumps(report, indent=1), encoding='utf-8')
    checkpoint = newest_checkpoint(run)
    model = build_model(cfg)
    weights = load_checkpoint_file(checkpoint)['state_dict']  # averaged, if there is an average
    load_exactly(model, weights, source=str(checkpoint), fresh=COUNTERS)
    classes = cfg.val_dataloader.dataset.metainfo
    write_model_folder(
        out / 'model',
        model=model,
        config=_without_paths(cfg),
        meta=dict(classes=list(classes.classes), palette=list(classes.palette)),
        card=dict(
            name=out.name,
            data=f'{report["pictures"]} pictures of {", ".join(classes.classes)}',
            metrics=report['scores']['model'],
            limits='Measured on pictures like those that it was trained on, and on no others.',
        ),
        picture=np.asarray(Image.open(out / 'preview.png')),
        overwrite=True,
    )


def score_constants(cfg: ConfigDict) -> dict[str, dict[str, float]]:
    """Score two answers that are the same for every picture, on the validation pictures.

    One is the most frequent class alone. The other is the mean of the training masks; of two
    classes the foreground is where that mean exceeds the threshold of the highest IoU with the
    training masks.

    Args:
        cfg: Config of the training.

    Returns:
        The scores of each answer, by the metric of the config.
    """
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    classes = dataset.metainfo['classes']
    masks = _training_masks(cfg, len(classes))  # (N, K, h, w)
    mean = masks.mean(dim=0)
    common = int(mean.mean(dim=(1, 2)).argmax())
    alone = torch.zeros_like(mean)
    alone[common] = 1
    threshold = _best_threshold(masks[:, 1]) if len(classes) == 2 else None
    return {
        'mean mask': _score(cfg, dataset, mean, threshold),
        f'all {classes[common]}': _score(cfg, dataset, alone, None),
    }


def _called(name: str, scores: dict[str, float]) -> float:
    """A score, whatever the number of samples behind its name: ``HM_IoU@4`` is ``HM_IoU``."""
    return next(value for key, value in scores.items() if key.partition('@')[0] == name)


def _training_masks(cfg: ConfigDict, classes: int) -> Tensor:
    """Share of each class in the cells of a grid (N, K, GRID, GRID)."""
    config = dict(cfg.val_dataloader.dataset, ann_file=cfg.train_dataloader.dataset.ann_file)
    config.pop('indices', None)
    dataset = DATASETS.build(config)
    chosen = np.linspace(0, len(dataset) - 1, min(MAX_MASKS, len(dataset))).round().astype(int)
    masks = []
    for index in chosen:
        labels = _truth(dataset[index]['data_samples'])  # (R, H, W)
        one_hot = torch.stack([(labels == k).float().mean(dim=0) for k in range(classes)])
        masks.append(F.interpolate(one_hot[None], (GRID, GRID), mode='area')[0])
    return torch.stack(masks)


def _truth(sample: SegDataSample) -> Tensor:
    return (sample.gt_raters if 'gt_raters' in sample else sample.gt_sem_seg).data


def _best_threshold(masks: Tensor) -> float:
    """The threshold of the mean that agrees best with the masks (N, h, w)."""
    mean = masks.mean(dim=0)

    def iou(threshold: float) -> float:
        answer = (mean > threshold).float()
        common = torch.minimum(answer, masks).sum(dim=(1, 2))
        both = torch.maximum(answer, masks).sum(dim=(1, 2)).clamp(min=1e-6)
        return (common / both).mean().item()

    return max((share / 20 for share in range(20)), key=iou)


def _score(
    cfg: ConfigDict, dataset: BaseDataset, probs: Tensor, threshold: float | None
) -> dict[str, float]:
    """The scores of the same probabilities (K, h, w) for every picture."""
    metric = dict(cfg.val_evaluator)
    metric.pop('from_logits', None)
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        size = tuple(_truth(sample).shape[1:])
        here = F.interpolate(probs[None], size, mode='bilinear', align_corners=False)[0]
        if threshold is None:
            labels = here.argmax(dim=0, keepdim=True)
        else:
            labels = (here[1:] > threshold).long()
        sample.pred_sem_seg = sample.samples = PixelData(data=labels)
        if len(probs) == 2:
            sample.seg_prob = PixelData(data=here[1:])
        evaluator.process(data_samples=[sample])
    return {key: float(value) for key, value in evaluator.evaluate(len(dataset)).items()}


def _without_paths(cfg: Config) -> Config:
    """The config for others, whom the folders of this machine do not concern."""
    cfg = copy.deepcopy(cfg)
    launch.set_data_root(cfg, 'data')
    for dataset in launch.datasets_of(cfg, 'train', 'val', 'test'):
        dataset.ann_file = f'splits/{Path(dataset.ann_file).name}'
        for key, prefix in dataset.data_prefix.items():
            dataset.data_prefix[key] = Path(prefix).name
    cfg.load_from = None
    return cfg
