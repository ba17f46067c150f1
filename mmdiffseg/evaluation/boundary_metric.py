"""Scores of outlines, image by image."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdiffseg.evaluation.binary_masks import iou
from mmdiffseg.evaluation.boundary_scores import boundary_accuracy, boundary_iou
from mmdiffseg.evaluation.episodes import binary_maps
from mmdiffseg.registry import METRICS


@METRICS.register_module()
class BoundaryMetric(BaseMetric):
    """Boundary IoU and mean boundary accuracy (mBA), in percent.

    ``BIoU`` is the mean over the classes of the mean over the images in which a class is, in truth
    or prediction. ``mBA`` is the mean over the images that have a true outline, of the labels
    around the outlines of all classes; the log says how many have none. ``IoU`` is averaged like
    ``BIoU``. The band of Boundary IoU is 2 % of the diagonal wide; for the radii of mBA see
    :func:`boundary_radii`.

    Args:
        classes: Labels to score; None for all of the data set but 0, the background.
        ignore_index: True label of the pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs.

    Example:
        >>> test_evaluator = [dict(type='IoUMetric'), dict(type='mmdiffseg.BoundaryMetric')]
    """

    def __init__(
        self,
        *,
        classes: Sequence[int] | None = None,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classes = classes
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_sem_seg`` and ``gt_sem_seg`` (1, H, W).
        """
        classes = self.classes or range(1, len(self.dataset_meta['classes']))
        for sample in data_samples:
            pred, gt = binary_maps(sample)
            valid = gt != self.ignore_index
            scores = {}
            for label in classes:
                mask, truth = (pred == label) & valid, gt == label
                if mask.any() or truth.any():
                    scores[label] = (boundary_iou(mask, truth), iou(mask, truth))
            accuracy = boundary_accuracy(pred, gt, valid=valid, classes=classes)
            self.results.append(dict(scores=scores, mBA=accuracy))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average over the images.

        Args:
            results: One for each image.

        Returns:
            The scores in percent.

        Raises:
            ValueError: There is no object in any image.
        """
        by_class: dict[int, list] = {}
        for result in results:
            for label, scores in result['scores'].items():
                by_class.setdefault(label, []).append(scores)
        accuracies = [result['mBA'] for result in results if result['mBA'] is not None]
        if not by_class or not accuracies:
            raise ValueError(
                f'none of {len(results)} images has an object with an outline: check the classes '
                'of the metric and the masks'
            )
        if len(accuracies) < len(results):
            print_log(
                f'BoundaryMetric: {len(results) - len(accuracies)} of {len(results)} images have '
                'no true outline and do not count in mBA.',
                logger='current',
            )
        boundary, area = np.mean(
            [np.mean(by_class[label], axis=0) for label in sorted(by_class)], axis=0
        ).tolist()
        return {'BIoU': 100 * boundary, 'mBA': 100 * float(np.mean(accuracies)), 'IoU': 100 * area}
