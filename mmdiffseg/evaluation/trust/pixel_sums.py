"""Sums over the pixels of an image from which all pixel-wise measures follow.

Every array has a fixed size, whatever the image, and images add up.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmdiffseg.evaluation.calibration import expected_calibration_error
from mmdiffseg.evaluation.trust.calibration import (
    BINS,
    FINE_BINS,
    adaptive_error,
    class_wise_error,
    coarsen,
    split_brier,
)
from mmdiffseg.evaluation.trust.ranking import GROUPS, OCTAVES, PER_OCTAVE, aurc, auroc, ause

RANK = 'rank/'
#: values of all classes to bin at once, for an image of many classes needs much memory
AT_ONCE = 2**22
#: 2^-32 as the upper bits of a float32: 8 bits of exponent, then log2(PER_OCTAVE) of mantissa
_SMALLEST_GROUP = (127 - OCTAVES) * PER_OCTAVE
_DROPPED_BITS = 23 - (PER_OCTAVE.bit_length() - 1)


def sum_pixels(
    log_probs: Tensor, predicted: Tensor, labels: Tensor, uncertainties: Mapping[str, Tensor]
) -> dict[str, NDArray[np.float64]]:
    """Sum up the pixels of an image that count.

    Args:
        log_probs: Logarithms of the class probabilities, (K, N).
        predicted: Predicted classes (N,), in [0, K).
        labels: True classes (N,), in [0, K).
        uncertainties: Maps (N,) in [0, 1], by name.

    Returns:
        ``totals`` (4,): pixels, errors, Brier score and negative log likelihood in nats.
        ``areas`` (3, K): pixels of each class in both, in the prediction and in the truth.
        ``confidence`` (3, FINE_BINS) and ``classes`` (3, K, BINS): see :mod:`.calibration`; hits
        are right pixels, or pixels of the class.
        ``rank/NAME`` (2, GROUPS): pixels and errors by uncertainty, see :mod:`.ranking`.
    """
    count = len(log_probs)
    probs = log_probs.exp()
    confidence = probs.gather(0, predicted[None])[0]
    right = predicted == labels
    of_truth = log_probs.gather(0, labels[None])[0].double()  # (N,)
    brier = probs.square().sum(dtype=torch.float64) - 2 * of_truth.exp().sum() + len(labels)
    totals = torch.stack(
        [
            right.new_tensor(len(labels), dtype=torch.float64),
            (~right).sum().double(),
            brier,
            -of_truth.sum(),
        ]
    )
    areas = torch.stack(
        [torch.bincount(x, minlength=count) for x in (labels[right], predicted, labels)]
    )
    sums = dict(
        totals=totals,
        areas=areas,
        confidence=_bin(confidence, right, FINE_BINS),
        classes=_bin_classes(probs, labels),
    )
    for name, map_ in uncertainties.items():
        of_right, of_wrong = _count_by(~right, group_pixels(map_), GROUPS)
        sums[RANK + name] = torch.stack([of_right + of_wrong, of_wrong])
    return {name: x.cpu().numpy().astype(np.float64) for name, x in sums.items()}


def group_pixels(uncertainty: Tensor) -> Tensor:
    """Number of the group of each pixel: 64 in each octave from 2^-32 to 1.

    The entropy of most pixels is tiny. Groups of equal width would take all of them for equally
    sure.

    Args:
        uncertainty: In [0, 1], float32 (N,).
    """
    bits = uncertainty.contiguous().view(torch.int32) >> _DROPPED_BITS
    return (bits - _SMALLEST_GROUP + 1).clamp_(0, GROUPS - 1)


def _count_by(event: Tensor, index: Tensor, bins: int) -> Tensor:
    """Pixels (2, bins) of each bin without and with an event."""
    counts = torch.bincount(index + bins * event, minlength=2 * bins)
    return counts.unflatten(0, (2, bins)).double()


def _bin(prob: Tensor, hits: Tensor, bins: int) -> Tensor:
    prob = prob.double()
    index = (prob * bins).long().clamp_(0, bins - 1)
    missed, hit = _count_by(hits, index, bins)
    return torch.stack([missed + hit, torch.bincount(index, prob, minlength=bins), hit])


def _bin_classes(probs: Tensor, labels: Tensor) -> Tensor:
    count, pixels = probs.shape
    parts = []
    for some in probs.split(max(1, AT_ONCE // pixels)):
        index = (some * BINS).long().clamp_(0, BINS - 1)  # (k, N)
        index += torch.arange(0, len(some) * BINS, BINS, device=index.device)[:, None]
        flat, size = index.flatten(), len(some) * BINS
        weights = some.flatten().double()
        both = [torch.bincount(flat, w, minlength=size).double() for w in (None, weights)]
        parts.append(torch.stack(both).unflatten(1, (-1, BINS)))  # (2, k, bins)
    of_truth = (probs.gather(0, labels[None])[0] * BINS).long().clamp_(0, BINS - 1)
    hits = torch.bincount(labels * BINS + of_truth, minlength=count * BINS)
    return torch.cat([torch.cat(parts, dim=1), hits.double().unflatten(0, (1, count, BINS))])


def pixel_measures(sums: Mapping[str, NDArray]) -> dict[str, float]:
    """All pixel-wise measures of some images.

    Args:
        sums: Of these images, see :func:`sum_pixels`.

    Returns:
        Measures by name; those of an uncertainty as ``AURC/entropy``. ``accuracy`` and ``mIoU`` are
        the only ones that are better when higher, beside ``AUROC``.
    """
    pixels, errors, brier, nll = sums['totals']
    both, predicted, true = sums['areas']
    union = predicted + true - both
    brier = float(brier / pixels)
    measures = dict(
        mIoU=float((both[union > 0] / union[union > 0]).mean()),
        accuracy=float(1 - errors / pixels),
        ECE=expected_calibration_error(coarsen(sums['confidence'])),
        ECE_adaptive=adaptive_error(sums['confidence']),
        ECE_classes=class_wise_error(sums['classes']),
        NLL=float(nll / pixels),
        Brier=brier,
    )
    parts = split_brier(brier, sums['classes'])
    measures |= {f'Brier_{name}': value for name, value in parts.items()}
    for key in filter(lambda key: key.startswith(RANK), sums):
        counts, wrong = sums[key]
        name = key.removeprefix(RANK)
        measures[f'AURC/{name}'] = aurc(counts, wrong)
        measures[f'AUSE/{name}'] = ause(counts, wrong)
        measures[f'AUROC/{name}'] = auroc(counts - wrong, wrong)
    return measures
