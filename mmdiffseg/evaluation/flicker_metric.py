"""Boundary flicker of videos."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdiffseg.evaluation.davis import region_similarity
from mmdiffseg.evaluation.episodes import binary_maps
from mmdiffseg.evaluation.flicker import offset_change, outline_offsets
from mmdiffseg.registry import METRICS


@METRICS.register_module()
class BoundaryFlickerMetric(BaseMetric):
    """``BF``, the flicker of outlines in pixels (lower is better), beside DAVIS' ``J`` in percent.

    Both are averaged over the frames of a video, then over the videos; with several classes, first
    over the classes that are in a pair of frames. Frames may come in any order and from any
    process: what is kept of each are the 16 offsets of :func:`outline_offsets`.

    Args:
        classes: Labels to score.
        ignore_index: True label of the pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs.
    """

    def __init__(
        self,
        *,
        classes: Sequence[int] = (1,),
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classes = classes
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Measure the frames of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_sem_seg`` and ``gt_sem_seg`` (1, H, W), and ``video``
                and ``frame`` (from 0), as ``InContextDataset`` packs them.
        """
        for sample in data_samples:
            pred, gt = binary_maps(sample)
            valid = gt != self.ignore_index
            offsets, overlaps = {}, []
            for label in self.classes:
                mask, truth = (pred == label) & valid, gt == label
                offsets[label] = outline_offsets(mask, truth)
                if truth.any():
                    overlaps.append(region_similarity(mask, truth, valid=valid))
            self.results.append(
                dict(video=sample['video'], frame=sample['frame'], offsets=offsets, J=overlaps)
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compare consecutive frames.

        Args:
            results: One for each frame.

        Returns:
            ``BF`` in pixels and ``J`` in percent.

        Raises:
            ValueError: No two consecutive frames have an object in truth and prediction.
        """
        videos = defaultdict(dict)
        for result in results:
            videos[result['video']][result['frame']] = result
        flicker, overlap, skipped = [], [], 0
        for _, frames in sorted(videos.items()):
            changes = []
            for number in sorted(frames):
                if number - 1 not in frames:
                    continue
                before, after = (frames[n]['offsets'] for n in (number - 1, number))
                of_classes = [offset_change(before[k], after[k]) for k in self.classes]
                found = [change for change in of_classes if change is not None]
                if found:
                    changes.append(np.mean(found))
                else:
                    skipped += 1
            if changes:
                flicker.append(np.mean(changes))
            scores = [np.mean(frame['J']) for frame in frames.values() if frame['J']]
            if scores:
                overlap.append(np.mean(scores))
        if not flicker:
            raise ValueError(
                'no two consecutive frames have an object in truth and prediction: nothing to score'
            )
        if skipped:
            print_log(
                f'BoundaryFlickerMetric: {skipped} pairs of frames lack an object and do not '
                'count.',
                logger='current',
            )
        return {'BF': float(np.mean(flicker)), 'J': 100 * float(np.mean(overlap))}
