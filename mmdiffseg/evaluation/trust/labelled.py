"""What a model says of an image, and the truth, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from mmdiffseg.evaluation.distributions import merge_equal_maps


@dataclass(frozen=True, kw_only=True)
class LabelledPrediction:
    """A prediction for K classes beside what R raters say; one rater where there is one truth.

    Args:
        path: File of the image.
        probability: Class probabilities (K, H, W) float32; None once they are no longer needed.
        labels: Predicted classes (H, W).
        raters: True classes (R, H, W).
        weights: Weights (R,) of the raters, of sum 1.
        uncertainty: The model's own map (H, W) in [0, 1].
        samples: Label maps (G, H, W) that the model drew.
    """

    path: str
    probability: NDArray | None
    labels: NDArray
    raters: NDArray
    weights: NDArray
    uncertainty: NDArray | None = None
    samples: NDArray | None = None


def with_truth(answer: Mapping[str, NDArray], sample: BaseDataElement) -> LabelledPrediction:
    """Put an answer beside the truth.

    Args:
        answer: ``probability``, ``labels`` and maybe ``uncertainty`` and ``samples``, see
            :class:`LabelledPrediction`.
        sample: The image's sample, with ``gt_sem_seg``, or with ``gt_raters`` and maybe their
            weights.

    Raises:
        ValueError: There is no truth, it does not fit the answer, or there are no probabilities.
    """
    path = sample.get('img_path') or 'an image'
    if 'probability' not in answer:
        raise ValueError(
            f'{path}: the model gives no class probabilities to judge: this is for models of '
            'semantic segmentation'
        )
    if 'gt_raters' in sample:
        raters = sample.gt_raters.data.cpu().numpy()
        weights = np.asarray(sample.get('rater_weights', np.full(len(raters), 1 / len(raters))))
        raters, weights, _ = merge_equal_maps(raters, weights)
    elif 'gt_sem_seg' in sample:
        raters, weights = sample.gt_sem_seg.data[:1].cpu().numpy(), np.ones(1)
    else:
        raise ValueError(
            f'{path} has no labels, and without them nothing can be measured: take a data set with '
            'labels, or put LoadAnnotations into its test pipeline'
        )
    if raters.shape[1:] != answer['labels'].shape:
        (h, w), (height, width) = raters.shape[1:], answer['labels'].shape
        raise ValueError(
            f'{path}: the labels are {w}x{h} and the prediction {width}x{height}: load the labels '
            'after the resize of the image'
        )
    names = ('probability', 'labels', 'uncertainty', 'samples')
    known = {name: answer[name] for name in names if answer.get(name) is not None}
    return LabelledPrediction(path=path, raters=raters, weights=weights, **known)
