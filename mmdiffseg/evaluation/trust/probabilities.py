"""Class probabilities, checked, and the maps of uncertainty that there are for an image."""

import math

import torch
from torch import Tensor

from mmdiffseg.diffusion.uncertainty import entropy
from mmdiffseg.guarantee import vote_shares

SUM_TOLERANCE = 1e-3
SMALLEST = 1e-9


def log_probabilities(probability: Tensor, name: str) -> Tensor:
    """Check class probabilities and take their logarithms.

    Args:
        probability: (K, H, W).
        name: Of the image, for the messages.

    Returns:
        (K, H, W) float32; probabilities below 1e-9 count as 1e-9.

    Raises:
        ValueError: They are not finite, do not lie in [0, 1], or do not sum to one.
    """
    low, high = (bound.item() for bound in probability.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f'{name}: the probabilities are not finite: look at the weights')
    if low < -SUM_TOLERANCE or high > 1 + SUM_TOLERANCE:
        raise ValueError(
            f'{name}: the probabilities range from {low:.4f} to {high:.4f}: they must lie in [0, 1]'
        )
    sums = probability.sum(dim=0)
    worst = sums.flatten()[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > SUM_TOLERANCE:
        raise ValueError(
            f'{name}: the class probabilities of a pixel sum to {worst:.4f} instead of 1: '
            'normalise them in the head'
        )
    return probability.float().clamp(min=SMALLEST).log()


def uncertainty_maps(
    probability: Tensor, *, model: Tensor | None = None, samples: Tensor | None = None
) -> dict[str, Tensor]:
    """Every map of uncertainty there is for an image.

    Args:
        probability: Class probabilities (K, H, W).
        model: The model's own map (H, W), in [0, 1].
        samples: Label maps (G, H, W) that the model drew.

    Returns:
        Maps (H, W) in [0, 1]: ``entropy`` of the probabilities and ``doubt`` (1 less the largest
        of them), and where there are such: ``model``, and ``votes``, the entropy of the share of
        the samples that each class has.
    """
    maps = dict(entropy=entropy(probability, dim=0), doubt=1 - probability.amax(dim=0))
    if model is not None:
        maps['model'] = model
    if samples is not None and len(samples) > 1:
        shares = torch.from_numpy(vote_shares(samples.cpu().numpy(), len(probability)))
        maps['votes'] = entropy(shares.to(probability), dim=0)
    return {name: map_.float().clamp(0, 1) for name, map_ in maps.items()}
