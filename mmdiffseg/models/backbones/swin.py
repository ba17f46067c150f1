"""Swin Transformer: mmseg's network, started from timm's ImageNet weights."""

import math
import re

import torch.nn.functional as F
from mmseg.models.backbones import SwinTransformer as MMSegSwinTransformer
from torch import Tensor

from mmdiffseg.models.backbones.timm_weights import load_timm_weights
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS

_BLOCK_NAMES = {
    'norm1': 'norm1',
    'norm2': 'norm2',
    'attn.qkv': 'attn.w_msa.qkv',
    'attn.proj': 'attn.w_msa.proj',
    'attn': 'attn.w_msa',  # owns relative_position_bias_table
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}


def _to_unfold_order(weight: Tensor) -> Tensor:
    """Reorder the last axis of a patch merging layer from timm's channels to mmseg's.

    timm stacks the 2x2 neighbours as (dx, dy, C), ``nn.Unfold`` in mmseg as (C, dy, dx).
    """
    neighbours = weight.unflatten(-1, (2, 2, -1))  # (..., dx, dy, C)
    return neighbours.transpose(-1, -3).flatten(-3)  # (..., C, dy, dx) -> (..., 4C)


def swin_from_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename timm's Swin weights to mmseg's names.

    The classifier and the norm before it have no counterpart: mmseg norms every stage's output.

    Args:
        weights: State dict of a timm ``SwinTransformer``, or of the original release, which differs
            from it by counting each patch merging to the stage before it.
    """
    first_merging = 0 if 'layers.0.downsample.reduction.weight' in weights else 1
    renamed = {}
    for name, value in weights.items():
        if name.startswith(('head.', 'norm.')):
            continue
        if name.endswith(('relative_position_index', 'attn_mask')):
            continue  # derived from the window size
        if match := re.fullmatch(r'layers\.(\d+)\.downsample\.(.+)', name):
            name = f'stages.{int(match[1]) - first_merging}.downsample.{match[2]}'
            value = _to_unfold_order(value)
        elif match := re.fullmatch(r'layers\.(\d+)\.blocks\.(\d+)\.(.+)\.(\w+)', name):
            stage, block, layer, parameter = match.groups()
            name = f'stages.{stage}.blocks.{block}.{_BLOCK_NAMES[layer]}.{parameter}'
        else:
            name = name.replace('patch_embed.proj.', 'patch_embed.projection.')
        renamed[name] = value
    return renamed


def resize_position_bias(table: Tensor, window_size: int) -> Tensor:
    """Resize a relative position bias table to another window, bicubically.

    Args:
        table: Bias of every offset and head, ((2w - 1)^2, heads).
        window_size: The new w.
    """
    old, new = math.isqrt(table.shape[0]), 2 * window_size - 1
    grid = table.T.view(1, -1, old, old)  # (1, heads, 2w - 1, 2w - 1)
    grid = F.interpolate(grid, size=(new, new), mode='bicubic', align_corners=False)
    return grid.flatten(2)[0].T.contiguous()


@MODELS.register_module()
class SwinTransformer(MMSegSwinTransformer):
    """mmseg's Swin Transformer, with ImageNet weights through timm.

    Weights of a smaller window are fitted to the larger one (Swin V1 shares everything else
    between window sizes); the norms of the four outputs start fresh.

    Args:
        pretrained: timm name such as ``swin_tiny_patch4_window7_224.ms_in1k``, path of a file with
            the same content or of the original release, or None for random weights.
        window_size: Height and width of the attention windows.
        **kwargs: The other arguments of ``mmseg.models.SwinTransformer``.

    Example:
        >>> backbone = SwinTransformer(pretrained='swin_tiny_patch4_window7_224.ms_in1k')
        >>> [tuple(x.shape) for x in backbone(torch.randn(1, 3, 512, 512))]
        [(1, 96, 128, 128), (1, 192, 64, 64), (1, 384, 32, 32), (1, 768, 16, 16)]
    """

    def __init__(self, *, pretrained: str | None = None, window_size: int = 7, **kwargs) -> None:
        super().__init__(window_size=window_size, **kwargs)
        self.pretrained = pretrained
        self.window_size = window_size

    def init_weights(self) -> None:
        """Draw random weights, then load the pretrained ones, if any."""
        super().init_weights()
        if self.pretrained is None:
            return
        weights = swin_from_timm(load_timm_weights(self.pretrained))
        for name, value in weights.items():
            if name.endswith('relative_position_bias_table'):
                weights[name] = resize_position_bias(value, self.window_size)
        load_exactly(
            self, weights, source=self.pretrained, fresh=r'norm\d\.|.*relative_position_index$'
        )
