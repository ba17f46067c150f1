"""The objects of a picture in the numbers that mmdet gives them, and painted on one map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmdiffseg.apis.result import UNLABELLED, Segment
from mmdiffseg.segment_ids import INSTANCE_OFFSET

#: least score of an object, as mmdet's inferencer draws them
LEAST_SCORE = 0.3


def read_panoptic(ids: NDArray, num_classes: int) -> tuple[list[Segment], NDArray]:
    """The segments of a map of their numbers (H, W), and the classes of all pixels.

    Args:
        ids: Number of the segment of each pixel (H, W); a class from ``num_classes`` on is none.
        num_classes: Number of classes.
    """
    classes = ids % INSTANCE_OFFSET
    segments = [
        Segment(label=int(number % INSTANCE_OFFSET), mask=ids == number)
        for number in np.unique(ids)
        if number % INSTANCE_OFFSET < num_classes
    ]
    return segments, np.where(classes < num_classes, classes, UNLABELLED).astype(np.uint8)


def read_instances(
    labels: NDArray, scores: NDArray, masks: NDArray, size: Sequence[int]
) -> tuple[list[Segment], NDArray]:
    """The objects of a good score, best first, and their classes painted on one map.

    Args:
        labels: Classes (n,).
        scores: Of the objects (n,).
        masks: Bools (n, H, W).
        size: Height and width of the picture.
    """
    painted = np.full(tuple(size[:2]), UNLABELLED, dtype=np.uint8)
    order = [i for i in np.argsort(-scores, kind='stable') if scores[i] >= LEAST_SCORE]
    segments = [
        Segment(label=int(labels[i]), mask=masks[i].astype(bool), score=float(scores[i]))
        for i in order
    ]
    for segment in reversed(segments):
        painted[segment.mask] = segment.label
    return segments, painted
