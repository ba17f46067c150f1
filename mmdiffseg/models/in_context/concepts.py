"""Several concepts in one picture, each found on its own."""

import torch
from torch import Tensor


def concept_logits(margins: Tensor) -> Tensor:
    """Logits (..., C + 1, h, w) of background and C concepts, from each one's own margin.

    Their softmax is the paper's rule for several classes: with p_c = exp(score of the object) /
    exp(score of its background), class c has p_c / (1 + sum p) and the background 1 / (1 + sum p).

    Args:
        margins: (..., C, h, w), score of the object minus that of its background.
    """
    return torch.cat([torch.zeros_like(margins[..., :1, :, :]), margins], dim=-3)
