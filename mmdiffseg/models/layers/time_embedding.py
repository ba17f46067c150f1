"""Embeddings of a diffusion time or noise level."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LearnedFourierFeatures(nn.Module):
    """A scalar and its phases at learned frequencies w: [v, sin(2 pi w v), cos(2 pi w v)].

    Args:
        frequencies: Number F of frequencies w, drawn from N(0, 1).
    """

    def __init__(self, *, frequencies: int = 8) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(frequencies))

    def forward(self, values: Tensor) -> Tensor:
        """Embed values (B,), float32 or better, as (B, 1 + 2 F) in the dtype of the weights.

        log_snr reaches -18.9 and is multiplied by 2 pi w: in half precision the phases would blur.
        """
        angles = values[:, None] * self.weights.to(values.dtype) * (2 * math.pi)
        features = torch.cat([values[:, None], angles.sin(), angles.cos()], dim=1)
        return features.to(self.weights.dtype)


def time_mlp(channels: int, *, frequencies: int = 8) -> nn.Sequential:
    """DDP's embedding of log_snr(t): (B,) -> (B, channels)."""
    return nn.Sequential(
        LearnedFourierFeatures(frequencies=frequencies),
        nn.Linear(1 + 2 * frequencies, channels),
        nn.GELU(),
        nn.Linear(channels, channels),
    )


def sinusoidal_embedding(
    t: Tensor, channels: int, *, cos_first: bool = False, last_frequency_included: bool = False
) -> Tensor:
    """Sines and cosines of t at frequencies falling from 1 to 1/10000, as in Transformers and DDPM.

    Args:
        t: Times (B,), integer or floating.
        channels: Length C of the embedding; an odd one ends in a zero.
        cos_first: [cos, sin] (SegDiff, improved-diffusion) instead of [sin, cos] (DFormer).
        last_frequency_included: The last frequency is 1/10000 itself (DFormer) instead of the one
            before the series would reach it (SegDiff).

    Returns:
        (B, C), float32.
    """
    half = channels // 2
    k = torch.arange(half, dtype=torch.float32, device=t.device)
    # each in its authors' order of operations: at t = 999 the last bit of a frequency shows
    if last_frequency_included:
        exponents = k * -(math.log(10000) / (half - 1))
    else:
        exponents = -math.log(10000) * k / half
    angles = t[:, None].float() * exponents.exp()  # (B, C // 2)
    waves = [angles.cos(), angles.sin()] if cos_first else [angles.sin(), angles.cos()]
    return F.pad(torch.cat(waves, dim=1), (0, channels % 2))
