"""DAVIS' scores of videos."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmdiffseg.evaluation.davis import contour_accuracy, region_similarity
from mmdiffseg.evaluation.episodes import binary_maps
from mmdiffseg.registry import METRICS


@METRICS.register_module()
class DavisJFMetric(BaseMetric):
    """``J``, ``F`` and their mean ``J&F`` of one object in videos, in percent.

    Averaged over the frames of a video, then over the videos. The first and the last frame are not
    scored, as in the toolkit.

    Args:
        ignore_index: True label of the pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs.
    """

    def __init__(
        self,
        *,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the frames of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_sem_seg`` and ``gt_sem_seg`` (1, H, W), and
                ``video``, ``frame`` (from 0) and ``num_frames``, as ``InContextDataset`` packs them
                with ``episodes='first_frame'``.
        """
        for sample in data_samples:
            result = dict(video=sample['video'])
            if 0 < sample['frame'] < sample['num_frames'] - 1:
                pred, gt = binary_maps(sample)
                valid = gt != self.ignore_index
                pred, gt = pred == 1, gt == 1
                result['J'] = region_similarity(pred, gt, valid=valid)
                result['F'] = contour_accuracy(pred, gt, valid=valid)
            # frames that are not scored are results too: mmengine counts them to drop duplicates
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average over the frames of each video, then over the videos.

        Args:
            results: One for each frame.

        Returns:
            The scores in percent.

        Raises:
            ValueError: No frame is scored.
        """
        videos = defaultdict(list)
        for result in results:
            if 'J' in result:
                videos[result['video']].append((result['J'], result['F']))
        if not videos:
            raise ValueError('no frame between the first and the last of a video: nothing to score')
        scores = {video: 100 * np.mean(frames, axis=0) for video, frames in sorted(videos.items())}
        table = PrettyTable(['video', 'J', 'F'])
        for video, (j, f) in scores.items():
            table.add_row([video, f'{j:.2f}', f'{f:.2f}'])
        print_log(f'DAVIS:\n{table}', logger='current')
        j, f = np.mean(list(scores.values()), axis=0).tolist()
        return {'J&F': (j + f) / 2, 'J': j, 'F': f}
