"""Room for a second latent at the input of the U-Net."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


def widen_input(unet: UNet2DConditionModel, in_channels: int) -> None:
    """Give the first convolution more input channels, which have no effect at first.

    Args:
        unet: Changed in place, unless it has that many channels already.
        in_channels: New number of channels; the present ones come first.
    """
    old = unet.conv_in
    if old.in_channels == in_channels:
        return
    if old.in_channels > in_channels:
        raise ValueError(
            f'the U-Net takes {old.in_channels} input channels, this model has {in_channels}: give '
            'a plain U-Net of Stable Diffusion'
        )
    new = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias.copy_(old.bias)  # the released code draws a new one
    unet.conv_in = new
    unet.register_to_config(in_channels=in_channels)
