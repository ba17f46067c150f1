"""IoU of the classes of videos."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric
from prettytable import PrettyTable

from mmdiffseg.registry import METRICS


@METRICS.register_module()
class VideoClassIoUMetric(BaseMetric):
    """``mIoU`` of all classes in the frames of videos (VSPW), in percent.

    Each class of a frame is an episode of its own; a pixel takes the class of the largest margin
    over the background, or the background where none is positive. That is the most probable class
    by the paper's rule, the softmax over all margins and 0. Averaged over the classes that are in
    the frames or predicted.

    The episodes of a frame must follow each other in the same process: give the dataloader the
    sampler ``WholeFrameSampler``.

    Args:
        ignore_labels: True labels that do not count: 0, 'others', and 255, void.
        prefix: What precedes the names of the scores in logs.
    """

    def __init__(
        self, *, ignore_labels: Sequence[int] = (0, 255), prefix: str | None = None
    ) -> None:
        super().__init__(prefix=prefix)
        self.ignore_labels = tuple(ignore_labels)
        self._frame = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take in the episodes of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``seg_logits`` (2, H, W), ``gt_class_map`` (1, H, W) of
                class ids, and ``class_id``.
        """
        for sample in data_samples:
            if sample['img_path'] != self._frame:
                self._finish_frame()
                self._frame = sample['img_path']
                self._labels = sample['gt_class_map']['data'][0].cpu()  # (1, H, W) -> (H, W)
                self._best = torch.zeros(self._labels.shape)
                self._classes = torch.zeros_like(self._labels)
            background, concept = sample['seg_logits']['data'].float().cpu()
            better = concept - background > self._best
            self._best[better] = (concept - background)[better]
            self._classes[better] = sample['class_id']

    def evaluate(self, size: int) -> dict[str, float]:
        """Pool the pixels of all processes.

        Args:
            size: Not used: processes take different numbers of episodes, none of them twice.

        Returns:
            The score in percent.
        """
        self._finish_frame()
        # (4, classes): intersection, union, predicted and true pixels
        areas = torch.stack([torch.stack(result) for result in self.results]).sum(dim=0).double()
        all_reduce(areas)
        self.results.clear()
        return self.compute_metrics(areas)

    def compute_metrics(self, results: torch.Tensor) -> dict[str, float]:
        """Score pooled pixels.

        Args:
            results: Intersection and union (first of 4, classes) in pixels.
        """
        intersection, union = results[:2].numpy()
        seen = [c for c in self.dataset_meta['concepts'] if union[c]]
        ious = {c: 100 * intersection[c] / union[c] for c in seen}
        table = PrettyTable(['class', 'IoU'])
        for class_id, iou in ious.items():
            table.add_row([self.dataset_meta['concepts'][class_id], f'{iou:.2f}'])
        print_log(f'IoU by class:\n{table}', logger='current')
        return dict(mIoU=float(np.mean(list(ious.values()))))

    def _finish_frame(self) -> None:
        if self._frame is None:
            return
        labels = self._labels.clone()
        labels[torch.isin(labels, torch.tensor(self.ignore_labels))] = 255
        num_classes = max(self.dataset_meta['concepts']) + 1
        self.results.append(
            IoUMetric.intersect_and_union(self._classes, labels, num_classes, ignore_index=255)
        )
        self._frame = None
