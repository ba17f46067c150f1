"""One number for an image: how uncertain, how wrong, and how large each class is.

Zenk et al. (2025) and Kahl et al. (2024) find that the way from a map to a number decides how well
failures are detected, more than the map does. So all ways are measured side by side.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mmdiffseg.evaluation.distributions import area_crps
from mmdiffseg.evaluation.trust.ranking import aurc, auroc, group_things
from mmdiffseg.visualization.overlay import borders

TOP_SHARE = 0.05
FAILED_SHARE = 0.25
#: pixels on either side of a predicted boundary
BAND = 2


def map_to_numbers(uncertainty: NDArray, labels: NDArray, valid: NDArray) -> dict[str, float]:
    """Each way to make one number of a map.

    Args:
        uncertainty: Map (H, W) in [0, 1].
        labels: Predicted classes (H, W).
        valid: Pixels (H, W) that count, at least one.

    Returns:
        ``mean``; ``top``, the mean of the highest 5 %; and ``boundary``, the mean within two pixels
        of the predicted boundaries, 0 without any.
    """
    values = uncertainty[valid]
    top = max(1, round(TOP_SHARE * values.size))
    kernel = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    band = cv2.dilate(borders(labels).astype(np.uint8), kernel).astype(bool) & valid
    return dict(
        mean=float(values.mean()),
        top=float(np.partition(values, -top)[-top:].mean()),
        boundary=float(uncertainty[band].mean()) if band.any() else 0.0,
    )


def foreground(num_classes: int) -> range:
    """Classes that an image is scored by: all, but for two classes only the second."""
    return range(1 if num_classes == 2 else 0, num_classes)


def class_areas(labels: NDArray, classes: Sequence[int]) -> NDArray[np.int64]:
    """Pixels of each of the classes in a label map (N,)."""
    return np.bincount(labels, minlength=classes[-1] + 1)[list(classes)]


def mean_dice(a: NDArray, b: NDArray, classes: Sequence[int]) -> float:
    """Dice of two label maps (N,), averaged over the classes that either has; 1 without any.

    Args:
        a: Label map, integers.
        b: Label map.
        classes: The labels to compare, in rising order.
    """
    both = class_areas(a[a == b], classes)
    sizes = class_areas(a, classes) + class_areas(b, classes)
    present = sizes > 0
    return float((2 * both[present] / sizes[present]).mean()) if present.any() else 1.0


def pairwise_disagreement(samples: NDArray, classes: Sequence[int]) -> float:
    """1 - mean Dice of all pairs of samples (S, N), in [0, 1]; needs two samples."""
    count = len(samples)
    return 1 - float(
        np.mean(
            [
                mean_dice(samples[i], samples[j], classes)
                for i in range(count)
                for j in range(i + 1, count)
            ]
        )
    )


def area_numbers(
    predicted: NDArray,
    raters: NDArray,
    weights: NDArray,
    *,
    probs: NDArray,
    samples: NDArray | None,
    classes: Sequence[int],
) -> dict[str, float]:
    """How wrong the areas are, and how wrong the model expects them to be.

    Args:
        predicted: Predicted classes (N,) of the pixels that count.
        raters: True classes (R, N) by every rater.
        weights: Weights (R,) of the raters, of sum 1.
        probs: Class probabilities (K, N).
        samples: Label maps (S, N) that the model drew, or None.
        classes: Classes to measure; the numbers are means over them.

    Returns:
        Shares of the pixels that count: ``area_error``, of the prediction; ``area_doubt``, how far
        the samples' areas are from the prediction's on average, or the mean probability without
        samples; and ``area_CRPS``, of the samples' areas, or of the mean probability as the only
        one.
    """
    pixels = len(predicted)
    # (C, 1) of the prediction, (C, R) of the raters, (C, S) of the samples
    area, true = (_areas(maps, classes) / pixels for maps in (predicted[None], raters))
    if samples is None:
        expected = probs[list(classes)].mean(axis=1, dtype=np.float64, keepdims=True)
    else:
        expected = _areas(samples, classes) / pixels
    scores = [
        area_crps(of_samples, of_raters, weights=weights)
        for of_samples, of_raters in zip(expected, true, strict=True)
    ]
    return dict(
        area_error=float(np.abs(area[:, 0] - np.average(true, axis=1, weights=weights)).mean()),
        area_doubt=float(np.abs(expected - area).mean()),
        area_CRPS=float(np.mean(scores)),
    )


def _areas(maps: NDArray, classes: Sequence[int]) -> NDArray[np.int64]:
    return np.stack([class_areas(labels, classes) for labels in maps], axis=1)


def image_measures(columns: Mapping[str, NDArray]) -> dict[str, float]:
    """Measures over images, of which an image is one number each.

    Args:
        columns: Arrays (n,): ``risk``, 1 - Dice of each image; ``doubt/NAME`` for each number that
            is to detect failures; ``area_error``, ``area_doubt`` and ``area_CRPS``.

    Returns:
        ``Dice`` and ``area_CRPS``, means over images; ``area_correlation`` (Spearman's) of expected
        and true area error, NaN if one of them is constant; and for each NAME ``image_AURC/NAME``
        and ``image_AUROC/NAME``, of finding the quarter of the images with the lowest Dice.
    """
    risk = columns['risk']
    measures = dict(
        Dice=float(1 - risk.mean()),
        area_CRPS=float(columns['area_CRPS'].mean()),
        area_correlation=_rank_correlation(columns['area_doubt'], columns['area_error']),
    )
    failed = np.zeros(len(risk), bool)
    failed[np.argsort(-risk, kind='stable')[: round(FAILED_SHARE * len(risk))]] = True
    for key in filter(lambda key: key.startswith('doubt/'), columns):
        name = key.removeprefix('doubt/')
        measures[f'image_AURC/{name}'] = aurc(*group_things(columns[key], risk))
        counts, wrong = group_things(columns[key], failed)
        measures[f'image_AUROC/{name}'] = auroc(counts - wrong, wrong)
    return measures


def _rank_correlation(a: NDArray, b: NDArray) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float('nan')
    return float(spearmanr(a, b).statistic)
