"""Images to latents and back, by Stable Diffusion's frozen autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


def encode_image(vae: AutoencoderKL, image: Tensor, noise: Tensor | None = None) -> Tensor:
    """Draw from the latent distribution of an image, or take its mode.

    Args:
        vae: The autoencoder.
        image: Pictures (B, 3, H, W) in [-1, 1].
        noise: Standard normal (B, C, h, w) to draw with; None for the mode.

    Returns:
        Unscaled latents (B, C, h, w), float32. Times ``vae.config.scaling_factor`` they have about
        unit variance.
    """
    with torch.no_grad():
        posterior = vae.encode(image.to(vae.dtype)).latent_dist
    mean = posterior.mean.float()
    return mean if noise is None else mean + posterior.std.float() * noise


def decode_latent(vae: AutoencoderKL, latent: Tensor) -> Tensor:
    """Pictures (B, 3, H, W), float32, of unscaled latents (B, C, h, w); differentiable."""
    return vae.decode(latent.to(vae.dtype)).sample.float()


def stride(vae: AutoencoderKL) -> int:
    """Pixels per latent cell, along an axis."""
    return 2 ** (len(vae.config.block_out_channels) - 1)
