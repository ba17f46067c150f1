"""Samples of a label map against several raters, as a metric."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from numpy.typing import NDArray

from mmdiffseg.evaluation.distributions import image_scores
from mmdiffseg.evaluation.distributions.sample_files import write_samples
from mmdiffseg.registry import METRICS


@METRICS.register_module()
class DistributionMetric(BaseMetric):
    """How well samples follow the raters: scores of every image, averaged over the images.

    Every score is named with its number of samples, ``GED@16``. ``GED`` is squared and counts all
    pairs, as in papers, so it falls with the number of samples; ``GED_unbiased`` does not. It is
    low for pixel noise too: read it with ``coherence``. See
    :func:`mmdiffseg.evaluation.distributions.image_scores` for the others. Pixels that any rater
    ignores do not count.

    Args:
        num_samples: Score the first n samples, for each of these n; None for all.
        classes: Labels to compare; None for all but 0, the background.
        empty: What a class does that neither map has: ``agrees`` (IoU 1; CCDM, SSN) or
            ``left_out`` (Probabilistic U-Net's class switches).
        ignore_index: Label of the pixels that do not count.
        output_file: A new JSON file for the scores of every image.
        samples_dir: A new or empty folder for ``<image>.npz`` with the ``samples``, ``raters`` and
            ``weights`` of every image, which ``samples_vs_quality.py`` reads. A further evaluation
            in the same run replaces the files.
        collect_device: ``'cpu'`` or ``'gpu'``, to collect the results of all processes by.
        prefix: What precedes the names of the scores in logs.

    Example:
        >>> test_evaluator = dict(type='mmdiffseg.DistributionMetric', num_samples=[1, 4, 16])
    """

    def __init__(
        self,
        *,
        num_samples: Sequence[int] | None = None,
        classes: Sequence[int] | None = None,
        empty: str = 'agrees',
        ignore_index: int = 255,
        output_file: str | None = None,
        samples_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_samples is not None and (not num_samples or min(num_samples) < 1):
            raise ValueError(f'num_samples={num_samples}: give numbers of samples, 1 or more')
        self.num_samples = num_samples
        self.classes = classes
        self.empty = empty
        self.ignore_index = ignore_index
        self.output_file = output_file and Path(output_file)
        if self.output_file and self.output_file.exists() and is_main_process():
            raise FileExistsError(f'output_file {output_file} exists: choose another, or remove it')
        self.samples_dir = samples_dir and Path(samples_dir)
        if self.samples_dir and is_main_process():
            if self.samples_dir.is_dir() and any(self.samples_dir.iterdir()):
                raise FileExistsError(
                    f'samples_dir {samples_dir} is not empty: choose another, or remove it'
                )
            self.samples_dir.mkdir(parents=True, exist_ok=True)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``img_path``, ``samples`` (S, H, W) from the model and
                ``gt_raters`` (R, H, W) from ``PackRaterInputs``, and maybe ``rater_weights``.

        Raises:
            ValueError: There are no samples or raters, or they do not fit each other.
        """
        for sample in data_samples:
            samples, raters = self._maps(sample)
            weights = sample.get('rater_weights')
            if self.samples_dir:
                self._write(sample['img_path'], samples, raters, weights)
            valid = (raters != self.ignore_index).all(axis=0)
            result = dict(image=sample['img_path'], raters=len(raters))
            if valid.any():
                result['scores'] = {}
                for count in self.num_samples or [len(samples)]:
                    scores = image_scores(
                        raters[:, valid],
                        samples[:count, valid],
                        classes=self._classes(),
                        weights=None if weights is None else np.asarray(weights),
                        empty=self.empty,
                    )
                    result['scores'] |= {f'{key}@{count}': s for key, s in scores.items()}
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average the scores over the images.

        Args:
            results: One for each image.

        Returns:
            The scores. What needs two raters is averaged over the images that have them, and left
            out where none has; what needs two samples is left out for one.

        Raises:
            ValueError: No image has a pixel that counts.
        """
        scored = [result['scores'] for result in results if 'scores' in result]
        if not scored:
            raise ValueError(f'all pixels of all {len(results)} images are ignored: check raters')
        if len(scored) < len(results):
            _warn(f'{len(results) - len(scored)} of {len(results)} images are ignored altogether')
        alone = sum(result['raters'] == 1 for result in results)
        if alone:
            _warn(
                f'{alone} of {len(results)} images have one rater: diversity_raters needs two, '
                + ('and is left out' if alone == len(results) else 'and is taken over the others')
            )
        if self.output_file:
            self.output_file.parent.mkdir(parents=True, exist_ok=True)
            self.output_file.write_text(json.dumps(results, indent=1))
        names = dict.fromkeys(name for scores in scored for name in scores)
        means = {
            name: float(np.mean([scores[name] for scores in scored if name in scores]))
            for name in names
        }
        return {name: mean for name, mean in means.items() if not math.isnan(mean)}

    def _classes(self) -> Sequence[int]:
        return self.classes or range(1, len(self.dataset_meta['classes']))

    def _write(
        self, name: str, samples: NDArray, raters: NDArray, weights: Sequence[float] | None
    ) -> None:
        path = self.samples_dir / f'{Path(name).stem}.npz'
        if any(
            result['image'] != name and Path(result['image']).stem == path.stem
            for result in self.results
        ):
            raise ValueError(f'two images would be written to {path}: give images different names')
        write_samples(path, samples=samples, raters=raters, weights=weights)

    def _maps(self, sample: dict) -> tuple[NDArray, NDArray]:
        name = sample['img_path']
        if 'gt_raters' not in sample:
            raise ValueError(
                f'{name}: no raters: load them by mmdiffseg.LoadRaters and pack them by '
                'mmdiffseg.PackRaterInputs'
            )
        if 'samples' not in sample or not len(sample['samples']['data']):
            raise ValueError(
                f'{name}: the model gave no samples: let it draw several label maps an image and '
                'return them'
            )
        samples, raters = (sample[key]['data'].cpu().numpy() for key in ('samples', 'gt_raters'))
        if samples.shape[1:] != raters.shape[1:]:
            (h, w), (height, width) = samples.shape[1:], raters.shape[1:]
            raise ValueError(
                f'{name}: samples are {w}x{h} and raters {width}x{height}: load the raters after '
                'the resize of the image'
            )
        if self.num_samples and max(self.num_samples) > len(samples):
            raise ValueError(
                f'{name}: num_samples={list(self.num_samples)} asks for more than the '
                f'{len(samples)} samples that the model gave'
            )
        if samples.max() >= len(self.dataset_meta['classes']):
            raise ValueError(
                f'{name}: a sample holds class {samples.max()} and the data set has '
                f'{len(self.dataset_meta["classes"])} classes: set num_classes of the model'
            )
        return samples, raters


def _warn(sentence: str) -> None:
    print_log(f'DistributionMetric: {sentence}.', logger='current', level=logging.WARNING)
