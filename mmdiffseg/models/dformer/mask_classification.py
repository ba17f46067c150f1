"""Classified masks: a class and a mask for each of Q slots, and what can be made of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class MaskPrediction(NamedTuple):
    """What a decoder says about the Q slots of each image.

    Attributes:
        cls_scores: Class logits (B, Q, C + 1), the last of no object.
        masks: Mask logits (B, Q, H / 4, W / 4).
    """

    cls_scores: Tensor
    masks: Tensor


def average(predictions: Sequence[MaskPrediction]) -> MaskPrediction:
    """The logits of the mean probabilities; a single prediction is returned as it is."""
    if len(predictions) == 1:
        return predictions[0]
    cls_scores, masks = (torch.stack(logits) for logits in zip(*predictions, strict=True))
    probs = masks.sigmoid().mean(dim=0)
    # bounded: infinite logits could not be resized
    return MaskPrediction(cls_scores.softmax(dim=-1).mean(dim=0).log(), probs.logit(eps=1e-6))


def gather_slots(predictions: Sequence[MaskPrediction], images: int) -> MaskPrediction:
    """Put the slots of all generations of an image side by side.

    Args:
        predictions: Of some generations each, generation-major (G B, Q, ...).
        images: Number B of images.

    Returns:
        (B, G Q, ...), G counted over all predictions.
    """
    return MaskPrediction(
        *(
            torch.cat(logits).unflatten(0, (-1, images)).transpose(0, 1).flatten(1, 2)
            for logits in zip(*predictions, strict=True)
        )
    )


def class_scores(cls_scores: Tensor, masks: Tensor) -> Tensor:
    """Score of every class at every pixel: its probability in each slot times that slot's mask.

    Args:
        cls_scores: Class logits (..., Q, C + 1), the last of no object.
        masks: Mask logits (..., Q, h, w).

    Returns:
        (..., C, h, w), not negative.
    """
    probs = cls_scores.softmax(dim=-1)[..., :-1]
    return torch.einsum('...qc,...qhw->...chw', probs, masks.sigmoid())
