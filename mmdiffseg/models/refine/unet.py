"""A U-Net over blocks of pixels, for processors that find every pixel too much."""

from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class PixelShuffleUNet(BaseModule):
    """A denoiser that reads and writes blocks of p x p pixels as channels, 1 / p^2 of the places.

    Args:
        in_channels: Channels of the noisy mask.
        out_channels: Channels of the output.
        feature_channels: Channels of the image.
        factor: Side p of a block.
        denoiser: Config of the network at 1 / p of the resolution; the channels are filled in.

    Example:
        >>> network = PixelShuffleUNet(in_channels=1, out_channels=1, feature_channels=3, factor=2,
        ...     denoiser=dict(type='mmdiffseg.SegDiffUNet', fusion='input_concat'))
        >>> context = network.prepare(torch.randn(2, 3, 128, 128))
        >>> network(torch.randn(2, 1, 128, 128), torch.tensor([5]), context).shape
        torch.Size([2, 1, 128, 128])
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        feature_channels: int,
        factor: int,
        denoiser: dict,
    ) -> None:
        super().__init__()
        block = factor**2
        self.factor = factor
        self.denoiser = MODELS.build(
            {
                **denoiser,
                'in_channels': block * in_channels,
                'out_channels': block * out_channels,
                'feature_channels': block * feature_channels,
            }
        )
        self.stride = factor * self.denoiser.stride

    def prepare(self, image: Tensor) -> Any:
        """What the network prepares of images (B, feature_channels, H, W)."""
        return self.denoiser.prepare(F.pixel_unshuffle(image, self.factor))

    def forward(self, z_t: Tensor, t: Tensor, context: Any) -> Tensor:
        """Output (G B, out_channels, H, W) for masks (G B, in_channels, H, W) at times t."""
        blocks = self.denoiser(F.pixel_unshuffle(z_t, self.factor), t, context)
        return F.pixel_shuffle(blocks, self.factor)
