"""Classified masks: a class and a mask for each of Q slots, and what can be made of them."""

from collections.abc import Callable, Sequence
from functools import cached_property
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


class SetPrediction:
    """A ``Prediction`` whose x0 is made when it is asked for.

    It is as large as the noise, 100 masks of the size of the image, and the last step needs none.
    """

    variance = None

    def __init__(self, logits: MaskPrediction, encode: Callable[[Tensor], Tensor]) -> None:
        self.logits = logits
        self._encode = encode

    @cached_property
    def x0(self) -> Tensor:
        """Estimate of the clean masks (B, Q, h, w)."""
        return self._encode(self.logits.masks)


def average(predictions: Sequence[MaskPrediction]) -> MaskPrediction:
    """The logits of the mean probabilities."""
    cls_scores, masks = (torch.stack(logits) for logits in zip(*predictions, strict=True))
    probs = masks.sigmoid().mean(dim=0)
    # bounded: infinite logits could not be resized
    return MaskPrediction(cls_scores.softmax(dim=-1).mean(dim=0).log(), probs.logit(eps=1e-6))


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
