"""IoU of BEV maps."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable
from torch import Tensor

from mmdiffseg.evaluation.prediction_names import PredictionNames
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.registry import METRICS

THRESHOLDS = (0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65)


def map_counts(prob: Tensor, gt: Tensor, thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Count the cells of a map that are hit, wrongly found, and missed.

    Args:
        prob: Probabilities (K, h, w).
        gt: The truth, that shape, zeros and ones.
        thresholds: T probabilities from which on a cell counts as found.

    Returns:
        Whole numbers (3, T, K).
    """
    prob, gt = prob.float(), gt.bool()
    found = prob >= torch.tensor(thresholds, device=prob.device).view(-1, 1, 1, 1)  # (T, K, h, w)
    cases = (found & gt, found & ~gt, ~found & gt)
    return torch.stack([case.sum(dim=(2, 3)) for case in cases])


def map_iou(counts: Tensor) -> Tensor:
    """IoU (T, K) of counts (3, T, K), in [0, 1]; 0 for a class that is absent from both."""
    hits, false, missed = counts
    return hits / (hits + false + missed + 1e-7)


@METRICS.register_module()
class MapIoUMetric(BaseMetric):
    """IoU of every layer of a map at its best threshold, as BEVFusion and DDP report it.

    Cells are pooled over all samples, once for every threshold. Each class then takes the threshold
    that suits it best on the very data it is scored on: ``map/{class}/iou@max``, in [0, 1], of
    which ``map/mean/iou@max`` is the mean. The log has a table of all thresholds.

    Args:
        thresholds: Probabilities from which on a cell counts as found.
        output_dir: A new or empty folder for ``<name>.npz`` with ``prob`` (K, h, w) in float16; the
            name is the ``sample_id`` of the sample, or the stem of its file.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs, ``map`` by default.

    Example:
        >>> test_evaluator = dict(type='mmdiffseg.MapIoUMetric', thresholds=(0.4, 0.5, 0.6))
    """

    default_prefix = 'map'

    def __init__(
        self,
        *,
        thresholds: Sequence[float] = THRESHOLDS,
        output_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not thresholds or not all(0 < threshold < 1 for threshold in thresholds):
            raise ValueError(f'thresholds must lie between 0 and 1, got {thresholds}')
        self.thresholds = thresholds
        self._names = PredictionNames('.npz')
        self.output_dir = output_dir and claim_output_dir(output_dir)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the cells of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``map_prob`` (K, h, w) in [0, 1] and ``gt_map`` (K, h, w) of
                zeros and ones.

        Raises:
            ValueError: A prediction differs from its truth in shape, or is to be written over that
                of another sample.
        """
        for sample in data_samples:
            prob, gt = sample['map_prob']['data'], sample['gt_map']['data']
            if prob.shape != gt.shape:
                raise ValueError(
                    f'a predicted map has the shape {tuple(prob.shape)} (classes, rows, columns) '
                    f"and its truth {tuple(gt.shape)}: set the head's num_classes and output_scope "
                    'to those of the masks'
                )
            if self.output_dir:
                name = self._names.claim(sample)
                half = prob.half().cpu().numpy()
                np.savez_compressed(self.output_dir / f'{name}.npz', prob=half)
            # one result for each sample: mmengine drops the copies that pad the last batch of
            # several processes
            self.results.append(map_counts(prob, gt, self.thresholds).cpu())

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """Pool the counts of all samples.

        Args:
            results: Counts (3, T, K) of each sample.

        Returns:
            The best IoU of each class, and their mean.

        Raises:
            ValueError: There are none.
        """
        if not results:
            raise ValueError('MapIoUMetric: no sample was evaluated: check the data set')
        iou = map_iou(torch.stack(results).sum(dim=0))  # (T, K)
        best = iou.amax(dim=0)
        classes = self.dataset_meta['classes']
        table = PrettyTable(['class', *(f'@{t:.2f}' for t in self.thresholds), '@max'])
        for name, row in zip(classes, torch.cat([iou, best[None]]).T.tolist(), strict=True):
            table.add_row([name, *(f'{value:.4f}' for value in row)])
        print_log(f'IoU by threshold:\n{table}', logger='current')
        if self.output_dir:
            finish_output_dir(self.output_dir)
        scores = {f'{name}/iou@max': v for name, v in zip(classes, best.tolist(), strict=True)}
        return scores | {'mean/iou@max': best.mean().item()}
