"""IoU of referring segmentation: oIoU, mIoU and Pr@X."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmdiffseg.registry import METRICS

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
RELEASED_EPS = 1e-6


@METRICS.register_module()
class RefIoUMetric(BaseMetric):
    """Overlap of the masks that sentences mean with the predicted ones, in percent.

    ``oIoU`` pools the pixels of all sentences, ``mIoU`` is the mean IoU of the sentences (0 where
    both masks are empty), and ``Pr@X`` is the share of sentences whose IoU is above X. Counts are
    collected, so that any number of processes gives the same scores.

    Example:
        >>> test_evaluator = dict(type='mmdiffseg.RefIoUMetric', by_kind=True)

    Args:
        by_kind: Also score each ``kind`` of expression that the data set knows.
        released_weighted_iou: Add ``released_weighted_iou``, which Ref-Diff's released code prints
            as mIoU: the mean IoU of all sentences, weighted by the true area over 255^j for the
            j-th sentence of a reference.
        collect_device: Device, ``'cpu'`` or ``'gpu'``, on which the results of all processes are
            collected.
        prefix: Prefix of the names of the scores in logs.
    """

    def __init__(
        self,
        *,
        by_kind: bool = False,
        released_weighted_iou: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.by_kind = by_kind
        self.released_weighted_iou = released_weighted_iou

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_instances.masks`` (n, H, W), one for each sentence,
                ``gt_sem_seg`` (1, H, W) of 0 and 1, and optionally ``kind`` or ``kinds``.

        Raises:
            ValueError: A prediction differs from its truth in size.
        """
        for sample in data_samples:
            preds = sample['pred_instances']['masks'].cpu().numpy().astype(bool)  # (n, H, W)
            gt = sample['gt_sem_seg']['data'][0].cpu().numpy() == 1  # (1, H, W) -> (H, W)
            if preds.shape[1:] != gt.shape:
                raise ValueError(
                    f'{sample["img_path"]}: the prediction is {preds.shape[2]}x{preds.shape[1]}, '
                    f'but the true mask is {gt.shape[1]}x{gt.shape[0]}: keep both at the size of '
                    'the image'
                )
            kinds = sample.get('kinds') or [sample.get('kind')] * len(preds)
            first = sample.get('sentence_index', 0)
            for index, (pred, kind) in enumerate(zip(preds, kinds, strict=True), start=first):
                inter, union = int((pred & gt).sum()), int((pred | gt).sum())
                self.results.append((inter, union, int(gt.sum()), index, kind))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Pool the counts of all sentences.

        Args:
            results: For each sentence, intersection, union, true area, number within its reference,
                and kind.

        Returns:
            The scores in percent.

        Raises:
            ValueError: There are none.
        """
        if not results:
            raise ValueError('RefIoUMetric: no sentence was evaluated: check the data set')
        scores = _scores(results)
        if self.released_weighted_iou:
            inter, union, area, index = np.array([row[:4] for row in results], float).T
            weights = area / 255.0**index
            ious = inter / (union + RELEASED_EPS)
            scores['released_weighted_iou'] = 100 * float((weights * ious).sum() / weights.sum())
        if self.by_kind:
            kinds = sorted({row[4] for row in results if row[4]})
            of_kind = {kind: [row for row in results if row[4] == kind] for kind in kinds}
            table = PrettyTable(['kind', 'sentences', 'oIoU', 'mIoU'])
            for kind, rows in of_kind.items():
                mine = _scores(rows)
                scores |= {f'{kind}/{name}': mine[name] for name in ('oIoU', 'mIoU')}
                table.add_row([kind, len(rows), f'{mine["oIoU"]:.1f}', f'{mine["mIoU"]:.1f}'])
            print_log(f'By kind of expression:\n{table}', logger='current')
        return scores


def _scores(results: list[tuple]) -> dict[str, float]:
    inter, union = np.array([row[:2] for row in results]).T
    ious = inter / np.maximum(union, 1)
    scores = {'oIoU': inter.sum() / max(union.sum(), 1), 'mIoU': ious.mean()}
    scores |= {f'Pr@{threshold}': (ious > threshold).mean() for threshold in THRESHOLDS}
    return {name: 100 * float(score) for name, score in scores.items()}
