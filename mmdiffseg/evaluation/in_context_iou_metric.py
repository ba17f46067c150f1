"""IoU of in-context segmentation."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from PIL import Image
from prettytable import PrettyTable

from mmdiffseg.evaluation.episodes import binary_counts, binary_maps, class_iou, fb_iou, mean_iou
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.registry import METRICS


@METRICS.register_module()
class InContextIoUMetric(BaseMetric):
    """``mIoU`` and ``FB-IoU`` of episodes, one binary mask each, in percent.

    Pixels are pooled over the episodes of a class: ``mIoU`` is the mean over the classes.
    ``FB-IoU`` pools over all classes, for background and foreground. If the episodes belong to
    several folds, both are also given for each (over the classes seen in it), and ``folds/mIoU`` is
    their mean.

    Args:
        over: The classes of the mean: ``'table'``, all of the data set, where one without an
            episode counts as 0 (LDIS' released code, and the few-shot benchmarks); or ``'seen'``.
        cell_slices: Give ``mIoU`` also by the size of the prompts, in cells of the grid on which
            the model sees their masks, all prompts together: (1, 16) makes the slices 0, 1 to 15,
            16 and more. Over the classes seen in each.
        output_dir: A new or empty folder for ``masks/<sample_id>.png`` (0 and 1) and
            ``episodes.json``, which lists query, prompts, class and counts of every episode. A
            further evaluation in the same run replaces the files.
        ignore_index: True label of the pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs.

    Example:
        >>> test_evaluator = dict(type='mmdiffseg.InContextIoUMetric', cell_slices=(1, 16))
    """

    def __init__(
        self,
        *,
        over: Literal['table', 'seen'] = 'table',
        cell_slices: Sequence[int] = (),
        output_dir: str | None = None,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if over not in ('table', 'seen'):
            raise ValueError(f"over={over!r} must be 'table' or 'seen'")
        if not all(low < high for low, high in pairwise([0, *cell_slices])):
            raise ValueError(f'cell_slices must rise from above 0, got {tuple(cell_slices)}')
        self.over = over
        self.cell_slices = tuple(cell_slices)
        self.ignore_index = ignore_index
        self.output_dir = output_dir and claim_output_dir(output_dir)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_sem_seg`` and ``gt_sem_seg`` (1, H, W), and what
                ``InContextDataset`` says of an episode.

        Raises:
            ValueError: A prediction differs from its truth in size.
        """
        for sample in data_samples:
            pred, gt = binary_maps(sample)
            inter, union = binary_counts(pred, gt, ignore_index=self.ignore_index).tolist()
            self.results.append(
                dict(
                    sample_id=sample['sample_id'],
                    query=sample['img_path'],
                    prompts=list(sample['prompt_paths']),
                    prompt_cells=list(sample['prompt_cells']),
                    class_id=sample['class_id'],
                    class_name=sample['class_name'],
                    fold=sample['fold'],
                    seed=sample['seed'],
                    intersection=inter,
                    union=union,
                )
            )
            if self.output_dir:
                path = self.output_dir / 'masks' / f'{sample["sample_id"]}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pred.astype(np.uint8)).save(path)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Pool the counts of all episodes.

        Args:
            results: One for each episode.

        Returns:
            The scores in percent.

        Raises:
            ValueError: There are none.
        """
        if not results:
            raise ValueError('InContextIoUMetric: no episode was evaluated: check the data set')
        concepts = self.dataset_meta['concepts']
        ious = class_iou(_counts(results))
        self._log(ious, concepts)
        scores = {
            'mIoU': mean_iou(ious, concepts if self.over == 'table' else ious),
            'FB-IoU': fb_iou(count for _, count in _counts(results)),
        }
        scores |= self._by_fold(results) | self._by_cells(results)
        if self.output_dir:
            text = json.dumps(results, indent=1)
            (self.output_dir / 'episodes.json').write_text(text)
            finish_output_dir(self.output_dir)
        return {name: 100 * score for name, score in scores.items()}

    def _by_fold(self, results: list[dict]) -> dict[str, float]:
        folds = sorted({r['fold'] for r in results if r['fold'] is not None})
        if len(folds) < 2:
            return {}
        scores = {}
        for fold in folds:
            counts = _counts(r for r in results if r['fold'] == fold)
            ious = class_iou(counts)
            scores[f'fold{fold}/mIoU'] = mean_iou(ious, ious)
            scores[f'fold{fold}/FB-IoU'] = fb_iou(count for _, count in counts)
        scores['folds/mIoU'] = float(np.mean([scores[f'fold{fold}/mIoU'] for fold in folds]))
        return scores

    def _by_cells(self, results: list[dict]) -> dict[str, float]:
        if not self.cell_slices:
            return {}
        scores = {}
        edges = (0, *self.cell_slices, float('inf'))
        for low, high in zip(edges, edges[1:], strict=False):
            counts = _counts(r for r in results if low <= sum(r['prompt_cells']) < high)
            if counts:
                ious = class_iou(counts)
                scores[f'cells{low}+/mIoU'] = mean_iou(ious, ious)
        return scores

    def _log(self, ious: dict[int, float], concepts: dict[int, str]) -> None:
        table = PrettyTable(['class', 'IoU'])
        for class_id, iou in ious.items():
            table.add_row([concepts[class_id], f'{100 * iou:.2f}'])
        print_log(f'IoU by class:\n{table}', logger='current')


def _counts(results: list[dict]) -> list[tuple[int, np.ndarray]]:
    return [(r['class_id'], np.array([r['intersection'], r['union']])) for r in results]
