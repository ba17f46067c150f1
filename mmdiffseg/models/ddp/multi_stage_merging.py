"""Merge a feature pyramid into one map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, xavier_init
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class MultiStageMerging(BaseModule):
    """Resize all levels to the finest, concatenate, and project by one convolution (DDP).

    Args:
        in_channels: Channels of each level, fine to coarse.
        out_channels: Channels of the merged map.
        kernel_size: Kernel size of the convolution.
        norm_cfg: Normalisation after it.
        act_cfg: Activation after that, none by default.
        align_corners: How the levels are resized.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        out_channels: int,
        kernel_size: int = 1,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.down = ConvModule(
            sum(in_channels),
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            bias=norm_cfg is None,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier-uniform; as an ``init_cfg`` it would be undone by that of the ``ConvModule``."""
        xavier_init(self.down.conv, distribution='uniform')

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Merge levels (B, C_i, h_i, w_i) into one map (B, out_channels, h_0, w_0), in a tuple."""
        size = inputs[0].shape[-2:]
        levels = [
            F.interpolate(x, size=size, mode='bilinear', align_corners=self.align_corners)
            for x in inputs
        ]
        return (self.down(torch.cat(levels, dim=1)),)
