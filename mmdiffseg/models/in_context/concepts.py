"""One label map from several concepts that were found each on its own."""

import torch
from torch import Tensor


def concept_logits(margins: Tensor) -> Tensor:
    """Combine the margins of C concepts to logits of the background and the concepts.

    Their softmax is the paper's rule for several classes: with p_c = exp(logit of the object) /
    exp(logit of its background), class c has p_c / (1 + sum p) and the background 1 / (1 + sum p).

    Args:
        margins: (..., C, h, w), the logit of each concept minus the logit of its background.

    Returns:
        (..., C + 1, h, w), background first.
    """
    return torch.cat([torch.zeros_like(margins[..., :1, :, :]), margins], dim=-3)
