"""Errors of depth maps."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from PIL import Image

from mmdiffseg.evaluation.depth_errors import CROPS, DEPTH_ERRORS, crop_mask, depth_errors
from mmdiffseg.evaluation.prediction_names import PredictionNames, prediction_name
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.registry import METRICS


@METRICS.register_module()
class DepthMetric(BaseMetric):
    """The nine errors of monocular depth of every image, averaged over the images.

    They carry mmseg's names. Its own ``DepthMetric`` has another ``silog`` and no crop for KITTI.
    Images without a pixel that counts are left out. A prediction of nan makes the averages nan.

    Args:
        min_depth: True depths must lie above, in metres.
        max_depth: True depths must lie below, in metres.
        crop: Pixels that count: ``'garg'``, ``'eigen'`` or ``'nyu'``, None for all; see
            :func:`crop_mask`.
        clip_depth: Cut off truth and prediction there, in metres, before anything else.
        output_dir: A new or empty folder for the predictions, ``<name>.png`` of 16 bits. The name
            is the ``sample_id`` of the sample, or the stem of its image.
        depth_scale_factor: Value of a metre in those files: 256 in KITTI's, 1000 in NYU's.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the errors in logs.

    Example:
        >>> test_evaluator = dict(type='mmdiffseg.DepthMetric', max_depth=80, crop='garg')
    """

    def __init__(
        self,
        *,
        min_depth: float = 1e-3,
        max_depth: float,
        crop: str | None = None,
        clip_depth: float | None = None,
        output_dir: str | None = None,
        depth_scale_factor: float = 256.0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if crop is not None and crop not in CROPS:
            raise ValueError(f'crop must be one of {CROPS} or None, got {crop!r}')
        if not 0 <= min_depth < max_depth:
            raise ValueError(
                f'need 0 <= min_depth < max_depth, in metres, got {min_depth} and {max_depth}'
            )
        for name, value in (('clip_depth', clip_depth), ('depth_scale_factor', depth_scale_factor)):
            if value is not None and not value > 0:
                raise ValueError(f'{name} must be positive, got {value}')
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.crop = crop
        self.clip_depth = clip_depth
        self.depth_scale_factor = depth_scale_factor
        self._names = PredictionNames('.png')
        self.output_dir = output_dir and claim_output_dir(output_dir)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compare a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``img_path``, ``pred_depth_map`` and ``gt_depth_map``,
                (1, H, W) in metres; the truth is 0 where nothing was measured.

        Raises:
            ValueError: A prediction differs from its truth in size, or is to be written over that
                of another sample.
        """
        for sample in data_samples:
            name = prediction_name(sample)
            # (1, H, W) -> (H, W)
            pred, gt = (
                sample[key]['data'][0].float().cpu().numpy()
                for key in ('pred_depth_map', 'gt_depth_map')
            )
            if pred.shape != gt.shape:
                raise ValueError(
                    f'{name}: the prediction is {pred.shape[1]}x{pred.shape[0]} and the depth map '
                    f'{gt.shape[1]}x{gt.shape[0]}: crop both alike in the pipeline.'
                )
            if self.output_dir:
                self._names.claim(sample)
                values = np.rint(pred * self.depth_scale_factor).clip(0, 65535).astype(np.uint16)
                Image.fromarray(values).save(self.output_dir / f'{name}.png')
            if self.clip_depth is not None:
                pred, gt = pred.clip(max=self.clip_depth), gt.clip(max=self.clip_depth)
            valid = (gt > self.min_depth) & (gt < self.max_depth) & crop_mask(gt.shape, self.crop)
            # one result for each image: mmengine pads the last batch of several processes and later
            # drops the copies
            self.results.append(depth_errors(pred[valid], gt[valid]) if valid.any() else None)

    def compute_metrics(self, results: list[dict[str, float] | None]) -> dict[str, float]:
        """Average the errors of all images.

        Args:
            results: One for each image, None without a pixel that counts.

        Raises:
            ValueError: No image has a pixel that counts.
        """
        scored = [result for result in results if result is not None]
        if not scored:
            raise ValueError(
                f'no pixel of all {len(results)} depth maps lies between {self.min_depth} and '
                f'{self.max_depth} m inside the crop {self.crop}: check the depth maps'
            )
        if self.output_dir:
            finish_output_dir(self.output_dir)
        return {name: float(np.mean([r[name] for r in scored])) for name in DEPTH_ERRORS}
