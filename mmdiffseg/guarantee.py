"""Masks with a guarantee: read a guarantee, check that it fits, and apply it.

Plain numpy, so that prediction without torch can use it. How a guarantee is calibrated stands in
:mod:`mmdiffseg.evaluation.conformal`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: inner and outer mask (H, W), None for that of which nothing is promised; or sets (K, H, W)
Admitted = tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None] | NDArray[np.bool_]
KINDS = ('threshold', 'margin', 'set')
RISKS = dict(
    missed='share of the object outside the outer mask, or of pixels whose class is not admitted',
    false_positive='share of the inner mask that is not object',
    iou='1 - IoU of the truth and the mask between inner and outer that is nearest to it',
)


def apply_guarantee(
    probability: NDArray, guarantee: dict, samples: NDArray | None = None
) -> Admitted:
    """What a guarantee admits for an image.

    Args:
        probability: Class probabilities (K, H, W).
        guarantee: As :func:`mmdiffseg.evaluation.conformal.calibrate` makes it.
        samples: Label maps (G, H, W) that the model drew, for a guarantee fitted on samples.

    Returns:
        Two classes: the inner mask (surely object) and the outer one (possibly object), (H, W)
        bool; None for that of which nothing is promised. More: the set of admitted classes of each
        pixel, (K, H, W) bool.

    Raises:
        ValueError: The number of classes does not fit, or the samples are missing.
    """
    probability = np.asarray(probability, np.float64)
    if guarantee['source'] == 'samples':
        probability = sampled_probability(probability, samples)
    if guarantee['kind'] == 'set':
        return label_set(probability, guarantee['value'])
    score = object_score(probability, guarantee['kind'])
    return inner_and_outer(score, guarantee)


def inner_and_outer(
    score: NDArray, guarantee: dict
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Cut a score (H, W), see :func:`object_score`, into the inner and the outer mask."""
    value, risk = guarantee['value'], guarantee['risk']
    if guarantee['kind'] == 'threshold':
        # `value` is the least probability of the outer mask, or the one that the inner exceeds
        low, high = (1 - value, value) if risk == 'iou' else (value, value)
    else:  # margins around distances: the outer mask reaches further, the inner one less far
        low, high = -value, value
    inner = score > high if risk in ('false_positive', 'iou') else None
    outer = score >= low if risk in ('missed', 'iou') else None
    return inner, outer


def promised(
    answer: Mapping[str, Any], guarantee: dict | None, settings: Mapping[str, int]
) -> dict[str, NDArray]:
    """What the guarantee of a model, if it has one, says of an answer, by the names of ``Result``.

    With other settings than those of the calibration, nothing is promised.

    Args:
        answer: ``probability`` (K, H, W) and maybe ``samples`` (G, H, W).
        guarantee: The guarantee.
        settings: ``steps``, ``generations`` and ``seed`` of the call.
    """
    if guarantee is None or 'probability' not in answer:
        return {}
    if any(settings.get(name) != value for name, value in guarantee['settings'].items()):
        return {}
    sure = apply_guarantee(answer['probability'], guarantee, samples=answer.get('samples'))
    if guarantee['kind'] == 'set':
        return dict(label_set=sure)
    return dict(zip(('inner', 'outer'), sure, strict=True))


def object_score(probability: NDArray, kind: str) -> NDArray[np.float64]:
    """The score that a guarantee cuts, higher where the object is surer.

    Args:
        probability: (2, H, W).
        kind: ``'threshold'``, the score is the probability; or ``'margin'``, it is the distance to
            the predicted outline in pixels, positive inside and negative outside.

    Raises:
        ValueError: There are not two classes.
    """
    if len(probability) != 2:
        raise ValueError(
            f"kind={kind!r} is for two classes, and there are {len(probability)}: use kind='set'"
        )
    if kind == 'threshold':
        return np.asarray(probability[1], np.float64)
    return signed_distance(probability[1] > probability[0])


def signed_distance(mask: NDArray) -> NDArray[np.float64]:
    """Euclidean distance of pixels (H, W) to the nearest one on the other side of the outline.

    Pixels inside have 1 or more, those outside -1 or less; inf or -inf if there is no other side.
    """
    from scipy.ndimage import distance_transform_edt

    if mask.all() or not mask.any():
        return np.where(mask, np.inf, -np.inf)
    return distance_transform_edt(mask) - distance_transform_edt(~mask)


def cumulated_before(probability: NDArray) -> NDArray[np.float64]:
    """Probability of all classes that are likelier than each class, (K, ...) in [0, 1]."""
    probability = np.asarray(probability, np.float64)
    order = np.argsort(-probability, axis=0, kind='stable')
    ranked = np.take_along_axis(probability, order, axis=0)
    before = np.cumsum(ranked, axis=0) - ranked
    result = np.empty_like(before)
    np.put_along_axis(result, order, before, axis=0)
    return np.clip(result, 0, 1)


def label_set(probability: NDArray, value: float) -> NDArray[np.bool_]:
    """The likeliest classes of each pixel up to a cumulated probability, (K, ...) bool.

    The class that reaches ``value`` is part of the set; 1 admits every class.
    """
    if value >= 1:
        return np.ones(probability.shape, bool)
    admitted = cumulated_before(probability) < value
    # the likeliest is always in
    np.put_along_axis(admitted, probability.argmax(axis=0)[None], True, axis=0)
    return admitted


def sampled_probability(probability: NDArray, samples: NDArray | None) -> NDArray[np.float64]:
    """Votes of the samples for each class, among which the probability has one vote as well.

    So pixels with equally many votes differ, and few samples give more than a few thresholds.

    Args:
        probability: Class probabilities (K, H, W).
        samples: Label maps (G, H, W).

    Returns:
        (K, H, W), of sum 1.

    Raises:
        ValueError: There are no samples.
    """
    if samples is None or not len(samples):
        raise ValueError(
            'this guarantee was fitted on samples and the model drew none: predict with several '
            'samples, or calibrate from probabilities'
        )
    votes = len(samples) * vote_shares(samples, len(probability))
    return (votes + probability) / (len(samples) + 1)


def vote_shares(samples: NDArray, num_classes: int) -> NDArray[np.float64]:
    """Share of the label maps (G, H, W) that say each class, (K, H, W)."""
    return np.stack([(samples == k).mean(axis=0) for k in range(num_classes)])


def describe_guarantee(guarantee: dict) -> str:
    """What a guarantee promises, in a sentence."""
    return (
        f'On average over new images like the {guarantee["images"]} of the calibration, the '
        f'{RISKS[guarantee["risk"]]} is at most {guarantee["alpha"]:g} '
        f'({guarantee["kind"]} {guarantee["value"]:.4g}, from {guarantee["source"]}).'
    )


def check_guarantee(guarantee: dict, *, model: str, settings: dict) -> None:
    """Look whether a guarantee was calibrated for a model as it is used.

    Args:
        guarantee: The guarantee.
        model: Fingerprint of the model.
        settings: How it predicts.

    Raises:
        ValueError: It was not; the sentence names both models, or the setting.
    """
    if guarantee['model'] != model:
        raise ValueError(
            f'the guarantee was calibrated for model {guarantee["model"]} and this is model '
            f'{model}: run tools/analysis_tools/conformal.py calibrate for this one'
        )
    for name, value in guarantee['settings'].items():
        if settings.get(name) != value:
            raise ValueError(
                f'the guarantee was calibrated with {name}={value} and the model now predicts with '
                f'{name}={settings.get(name)}: set it back, or calibrate again'
            )


def picture_code(name: str) -> str:
    """A code for a picture's name, which may say more of a person than a model should pass on."""
    return hashlib.sha256(PurePath(name).name.encode()).hexdigest()[:12]
