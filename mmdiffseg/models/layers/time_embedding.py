"""Embeddings of a diffusion time or noise level."""

import math

import torch
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
