"""Scores of binary masks, image by image."""

import json
import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.evaluation.binary_masks import area_ratio, f1_score, iou, weighted_coverage
from mmdiffseg.evaluation.boundaries import boundary_f1
from mmdiffseg.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    reliability_bins,
)
from mmdiffseg.evaluation.prediction_names import PredictionNames, collision, prediction_name
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.registry import METRICS
from mmdiffseg.visualization import reliability_diagram


@METRICS.register_module()
class BinaryMaskMetric(BaseMetric):
    """Scores of the foreground of every image, averaged over the images, all in percent.

    ``mIoU``, ``F1``, ``WCov`` (an area ratio) and ``BoundF`` are what SegDiff's released code
    computes; mmseg's ``IoUMetric`` pools the pixels of all images instead and counts the background
    as a class. ``ECE`` (15 bins) and ``Brier`` are ours, lower is better, and come with samples
    that carry probabilities. Ignored pixels count nowhere.

    Args:
        empty_score: IoU and F1 in [0, 1] of an empty image that is predicted to be empty; the
            released code gives 0.
        weighted_coverage: Add ``WeightedCoverage``, the textbook's, over 8-connected regions.
        from_logits: Take the probability from the softmax of two ``seg_logits``, as a plain
            ``EncoderDecoder`` leaves them, instead of from ``seg_prob``.
        output_dir: A new or empty folder for ``masks/<name>.png`` (0 and 1) and, with
            probabilities, ``probabilities/<name>.png`` (16 bit, 65535 is 1), ``reliability.png``
            and ``reliability.json``. The name is the ``sample_id`` of the sample, or the stem of
            its image. A further evaluation in the same run replaces the files.
        ignore_index: True label of the pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs.

    Example:
        >>> test_evaluator = dict(type='mmdiffseg.BinaryMaskMetric', output_dir='predictions')
    """

    def __init__(
        self,
        *,
        empty_score: float = 0.0,
        weighted_coverage: bool = False,
        from_logits: bool = False,
        output_dir: str | None = None,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 <= empty_score <= 1:
            raise ValueError(f'empty_score must lie in [0, 1], got {empty_score}')
        self.empty_score = empty_score
        self.weighted_coverage = weighted_coverage
        self.from_logits = from_logits
        self.ignore_index = ignore_index
        self._names = PredictionNames('.png')
        self.output_dir = output_dir and claim_output_dir(output_dir)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the data set's classes.

        Raises:
            ValueError: There are not two.
        """
        classes = dataset_meta['classes']
        if len(classes) != 2:
            raise ValueError(
                f'BinaryMaskMetric scores one foreground class, the data set has {len(classes)} '
                f"classes with the background: use mmseg's IoUMetric."
            )
        self._dataset_meta = dataset_meta

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``img_path``, ``pred_sem_seg`` and ``gt_sem_seg``, (1, H, W),
                and maybe ``seg_prob``, (1, H, W), or ``seg_logits``, (2, H, W).

        Raises:
            ValueError: A prediction differs from its truth in size, holds more than two classes, or
                is to be written over that of another sample; a probability is not finite.
        """
        for sample in data_samples:
            name = prediction_name(sample)
            # (1, H, W) -> (H, W)
            pred, gt = (
                sample[key]['data'][0].cpu().numpy() for key in ('pred_sem_seg', 'gt_sem_seg')
            )
            prob = self._prob(sample)
            if pred.shape != gt.shape:
                raise ValueError(
                    f'{name}: the prediction is {pred.shape[1]}x{pred.shape[0]} and the mask '
                    f'{gt.shape[1]}x{gt.shape[0]}: leave the masks at the size of the images, or '
                    'resize both in the pipeline.'
                )
            others = pred[(pred > 1) & (gt != self.ignore_index)]
            if others.size:
                raise ValueError(
                    f'{name}: the prediction holds class {others.max()} and masks only 0 and 1: '
                    'set num_classes=2 in the model'
                )
            if prob is not None and not np.isfinite(prob).all():
                raise ValueError(f'{name}: the probability is not finite: look at the image')
            if self.output_dir:
                self._write(self._names.claim(sample), pred, prob)
            result = dict(name=name)
            if (gt != self.ignore_index).any():
                result.update(self._score(pred, gt, prob))
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average the scores of all images.

        Args:
            results: One for each image.

        Returns:
            The scores in percent.

        Raises:
            ValueError: No image has a pixel that counts, or two processes wrote the same file.
        """
        name, count = Counter(result['name'] for result in results).most_common(1)[0]
        if self.output_dir and count > 1:
            raise ValueError(collision(f'{name}.png'))
        scored = [result for result in results if 'scores' in result]
        if not scored:
            raise ValueError(f'all pixels of all {len(results)} masks are ignored: check the masks')
        if len(scored) < len(results):
            _warn(f'{len(results) - len(scored)} of {len(results)} masks are ignored altogether')
        if not any(result['foreground'] for result in scored):
            _warn(
                f'all {len(scored)} masks are empty: the scores of the foreground say nothing; '
                "check the dataset's foreground"
            )
        scores = {
            key: 100 * float(np.mean([result['scores'][key] for result in scored]))
            for key in scored[0]['scores']
        }
        if self.output_dir and 'ECE' in scores:
            self._write_reliability(sum(result['bins'] for result in scored))
        if self.output_dir:
            finish_output_dir(self.output_dir)
        return scores

    def _prob(self, sample: dict) -> NDArray | None:
        if self.from_logits:
            prob = sample['seg_logits']['data'].double().softmax(dim=0)[1]  # (2, H, W) -> (H, W)
        elif 'seg_prob' in sample:
            prob = sample['seg_prob']['data'][0].double()  # (1, H, W) -> (H, W)
        else:
            return None
        return prob.cpu().numpy()

    def _score(self, pred: NDArray, gt: NDArray, prob: NDArray | None) -> dict:
        valid = gt != self.ignore_index
        pred, gt = pred * valid, gt * valid
        scores = dict(
            mIoU=iou(pred, gt, empty=self.empty_score),
            F1=f1_score(pred, gt, empty=self.empty_score),
            WCov=area_ratio(pred, gt),
            BoundF=boundary_f1(pred, gt, valid=valid),
        )
        if self.weighted_coverage:
            scores['WeightedCoverage'] = weighted_coverage(pred, gt)
        result = dict(scores=scores, foreground=bool(gt.any()))
        if prob is not None:
            prob, gt = prob[valid], gt[valid]
            result['bins'] = reliability_bins(prob, gt)
            scores['ECE'] = expected_calibration_error(result['bins'])
            scores['Brier'] = brier_score(prob, gt)
        return result

    def _write(self, name: str, pred: NDArray, prob: NDArray | None) -> None:
        files = dict(masks=pred.astype(np.uint8))
        if prob is not None:
            files['probabilities'] = np.rint(prob * 65535).astype(np.uint16)
        for folder, pixels in files.items():
            path = self.output_dir / folder / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)

    def _write_reliability(self, sums: NDArray) -> None:
        pixels, prob, foreground = sums
        record = dict(
            bins=len(pixels),
            pixels=pixels.astype(int).tolist(),
            summed_probability=prob.tolist(),
            foreground_pixels=foreground.astype(int).tolist(),
        )
        (self.output_dir / 'reliability.json').write_text(json.dumps(record, indent=1))
        Image.fromarray(reliability_diagram(sums)).save(self.output_dir / 'reliability.png')


def _warn(sentence: str) -> None:
    print_log(f'BinaryMaskMetric: {sentence}.', logger='current', level=logging.WARNING)
