"""RRDBNet, an image encoder of ESRGAN's residual-in-residual dense blocks."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdiffseg.registry import MODELS

_SLOPE = 0.2  # of the leaky ReLUs
_RESIDUAL = 0.2  # factor of every residual branch


class DenseBlock(nn.Module):
    """Residual block of five densely connected convolutions.

    Each convolution reads the input and the outputs of all convolutions before it.

    Args:
        channels: Channels of the input and output.
        growth_channels: Output channels of each of the first four convolutions.
    """

    def __init__(self, *, channels: int, growth_channels: int) -> None:
        super().__init__()
        widths = [channels + i * growth_channels for i in range(5)]
        self.conv1 = nn.Conv2d(widths[0], growth_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(widths[1], growth_channels, 3, padding=1)
        self.conv3 = nn.Conv2d(widths[2], growth_channels, 3, padding=1)
        self.conv4 = nn.Conv2d(widths[3], growth_channels, 3, padding=1)
        self.conv5 = nn.Conv2d(widths[4], channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        dense = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense = torch.cat([dense, F.leaky_relu(conv(dense), _SLOPE)], dim=1)
        return x + _RESIDUAL * self.conv5(dense)


class RRDB(nn.Module):
    """Residual block of three dense blocks.

    Args:
        channels: Channels of the input and output.
        growth_channels: See :class:`DenseBlock`.
    """

    def __init__(self, *, channels: int, growth_channels: int) -> None:
        super().__init__()
        self.RDB1 = DenseBlock(channels=channels, growth_channels=growth_channels)
        self.RDB2 = DenseBlock(channels=channels, growth_channels=growth_channels)
        self.RDB3 = DenseBlock(channels=channels, growth_channels=growth_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return x + _RESIDUAL * self.RDB3(self.RDB2(self.RDB1(x)))


@MODELS.register_module()
class RRDBNet(BaseModule):
    """SegDiff's image encoder G (arXiv 2112.00390): ESRGAN's trunk at full resolution, no norms.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the feature, equal to SegDiff's ``model_channels``.
        mid_channels: Channels of the trunk.
        growth_channels: See :class:`DenseBlock`.
        num_blocks: Number of residual-in-residual dense blocks.

    Example:
        >>> encoder = RRDBNet(out_channels=32, num_blocks=1)
        >>> (feature,) = encoder(torch.randn(2, 3, 16, 16))
        >>> feature.shape
        torch.Size([2, 32, 16, 16])
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 128,
        mid_channels: int = 64,
        growth_channels: int = 32,
        num_blocks: int = 15,
    ) -> None:
        super().__init__()
        # named as in the released code
        self.conv_first = nn.Conv2d(in_channels, mid_channels, 3, padding=1)
        self.RRDB_trunk = nn.Sequential(
            *(
                RRDB(channels=mid_channels, growth_channels=growth_channels)
                for _ in range(num_blocks)
            )
        )
        self.trunk_conv = nn.Conv2d(mid_channels, mid_channels, 3, padding=1)
        self.HRconv = nn.Conv2d(mid_channels, mid_channels, 3, padding=1)
        self.conv_last = nn.Conv2d(mid_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Encode images (B, in_channels, H, W) into one map (B, out_channels, H, W), in a tuple."""
        x = self.conv_first(x)
        x = x + self.trunk_conv(self.RRDB_trunk(x))
        return (self.conv_last(F.leaky_relu(self.HRconv(x), _SLOPE)),)
