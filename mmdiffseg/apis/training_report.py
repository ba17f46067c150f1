"""The scores of a training beside those of answers that never look at the picture."""

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

#: side of the grid on which masks are averaged
GRID = 128
#: training masks that are averaged at most
MAX_MASKS = 200
#: the score that decides, by metric, and whether more of it is better
DECIDES = dict(
    BinaryMaskMetric=('mIoU', True),
    IoUMetric=('mIoU', True),
    DistributionMetric=('GED', False),
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
    masks = _training_masks(cfg, len(dataset.metainfo['classes']))  # (N, K, h, w)
    mean = masks.mean(dim=0)
    common = mean.mean(dim=(1, 2)).argmax()
    alone = torch.zeros_like(mean)
    alone[common] = 1
    answers = {'mean mask': mean, f'all {dataset.metainfo["classes"][common]}': alone}
    threshold = _best_threshold(masks) if len(mean) == 2 else None
    return {
        name: _score(cfg, dataset, probs, threshold if name == 'mean mask' else None)
        for name, probs in answers.items()
    }


def deciding_score(cfg: ConfigDict, scores: dict[str, float]) -> tuple[str, bool]:
    """The name of the score that decides, and whether more of it is better."""
    name, higher = DECIDES[cfg.val_evaluator.type.rpartition('.')[2]]
    return next(key for key in scores if key.partition('@')[0] == name), higher


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
    """The threshold of the mean mask that agrees best with the masks (N, 2, h, w)."""
    true = masks[:, 1]
    mean = true.mean(dim=0)

    def iou(threshold: float) -> float:
        answer = (mean > threshold).float()
        common = torch.minimum(answer, true).sum(dim=(1, 2))
        return (common / torch.maximum(answer, true).sum(dim=(1, 2)).clamp(min=1e-6)).mean().item()

    return max((share / 20 for share in range(20)), key=iou)


def _score(
    cfg: ConfigDict, dataset: BaseDataset, probs: Tensor, threshold: float | None
) -> dict[str, float]:
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
        sample.pred_sem_seg = PixelData(data=labels)
        sample.samples = PixelData(data=labels)
        if len(probs) == 2:
            sample.seg_prob = PixelData(data=here[1:])
        evaluator.process(data_samples=[sample])
    return evaluator.evaluate(len(dataset))
