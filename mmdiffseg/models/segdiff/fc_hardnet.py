"""FC-HarDNet-70, a light encoder-decoder of harmonic dense blocks."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from mmdiffseg.registry import MODELS

_STEM = ((16, 2), (24, 1), (32, 2), (48, 1))  # width and stride of each convolution
# levels from fine to coarse: growth and layers of a block, width of the encoder's projection
_GROWTH = (10, 16, 18, 24, 32)
_DEPTH = (4, 4, 8, 8, 8)
_WIDTH = (64, 96, 160, 224, 320)
_MULTIPLIER = 1.7


class HarDBlock(nn.Module):
    """Harmonic dense block (https://arxiv.org/abs/1909.00948).

    Layer k reads layer k - 2^i for every power of two 2^i that divides k; layer 0 is the input.

    Args:
        in_channels: Channels of the input.
        growth: Channels of a layer that reads one other layer. Each further layer that it reads
            multiplies them by 1.7.
        depth: Number of layers.
        norm_cfg: Config of the norms.
    """

    def __init__(self, *, in_channels: int, growth: int, depth: int, norm_cfg: dict) -> None:
        super().__init__()
        self.links = [_links(k) for k in range(1, depth + 1)]
        widths = [in_channels]
        self.layers = nn.ModuleList()
        for links in self.links:
            inputs = sum(widths[k] for k in links)
            widths.append(_even(growth * _MULTIPLIER ** (len(links) - 1)))
            self.layers.append(ConvModule(inputs, widths[-1], 3, padding=1, norm_cfg=norm_cfg))
        self.kept = [k for k in range(1, depth + 1) if k % 2 or k == depth]
        self.out_channels = sum(widths[k] for k in self.kept)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W): odd layers and the final one."""
        outputs = [x]
        for links, layer in zip(self.links, self.layers, strict=True):
            outputs.append(layer(torch.cat([outputs[k] for k in links], dim=1)))
        return torch.cat([outputs[k] for k in self.kept], dim=1)


def _links(layer: int) -> list[int]:
    """List the layers that a layer of a harmonic dense block reads."""
    return [layer - 2**i for i in range(layer.bit_length()) if layer % 2**i == 0]


def _even(width: float) -> int:
    """Round a width to an even number."""
    return int(width + 1) // 2 * 2


@MODELS.register_module()
class FCHarDNet(BaseModule):
    """FC-HarDNet-70, the segmentation network of arXiv 1909.00948, as an image encoder.

    SegDiff compares it with RRDBNet. The feature is computed at a quarter of the image size and
    resized to the full size.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the feature, equal to SegDiff's ``model_channels``.
        norm_cfg: Config of the norms.

    Example:
        >>> encoder = FCHarDNet(out_channels=32)
        >>> (feature,) = encoder(torch.randn(2, 3, 64, 64))
        >>> feature.shape
        torch.Size([2, 32, 64, 64])
    """

    def __init__(
        self, *, in_channels: int = 3, out_channels: int = 128, norm_cfg: dict = dict(type='BN')
    ) -> None:
        super().__init__()
        stem, width = [], in_channels
        for outputs, stride in _STEM:
            stem.append(ConvModule(width, outputs, 3, stride=stride, padding=1, norm_cfg=norm_cfg))
            width = outputs
        self.stem = nn.Sequential(*stem)

        def block(inputs: int, level: int) -> HarDBlock:
            return HarDBlock(
                in_channels=inputs, growth=_GROWTH[level], depth=_DEPTH[level], norm_cfg=norm_cfg
            )

        self.down_blocks, self.down_projections = ModuleList(), ModuleList()
        for level in range(len(_WIDTH)):
            self.down_blocks.append(block(width, level))
            inputs, width = self.down_blocks[-1].out_channels, _WIDTH[level]
            self.down_projections.append(ConvModule(inputs, width, 1, norm_cfg=norm_cfg))
        self.up_projections, self.up_blocks = ModuleList(), ModuleList()
        for level in reversed(range(len(_WIDTH) - 1)):
            inputs = width + self.down_blocks[level].out_channels
            self.up_projections.append(ConvModule(inputs, inputs // 2, 1, norm_cfg=norm_cfg))
            self.up_blocks.append(block(inputs // 2, level))
            width = self.up_blocks[-1].out_channels
        self.conv_last = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Encode images (B, in_channels, H, W) into one map (B, out_channels, H, W), in a tuple."""
        size = x.shape[-2:]
        x = self.stem(x)
        skips = []
        for block, projection in zip(self.down_blocks, self.down_projections, strict=True):
            if skips:
                x = F.avg_pool2d(x, 2, ceil_mode=True)  # keeps the border of odd sizes
            skips.append(block(x))
            x = projection(skips[-1])
        skips.pop()  # the decoder has no counterpart of the coarsest level
        for projection, block in zip(self.up_projections, self.up_blocks, strict=True):
            skip = skips.pop()
            x = torch.cat([_resize(x, skip.shape[-2:]), skip], dim=1)
            x = block(projection(x))
        return (_resize(self.conv_last(x), size),)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) to a size (H, W)."""
    return F.interpolate(x, size=size, mode='bilinear', align_corners=True)
