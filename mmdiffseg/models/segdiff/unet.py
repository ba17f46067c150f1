"""SegDiff's denoiser: a time-conditioned U-Net over the noisy mask and the image's feature."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList, constant_init
from torch import Tensor, nn

from mmdiffseg.models.layers.time_embedding import sinusoidal_embedding
from mmdiffseg.models.segdiff.unet_blocks import (
    Downsample,
    GroupNorm32,
    ResBlock,
    SelfAttention,
    TimeSequential,
    Upsample,
)
from mmdiffseg.registry import MODELS

FUSIONS = ('add', 'concat', 'input_concat')


class Context(NamedTuple):
    """What the network needs of B images at every step.

    Attributes:
        feature: The image feature where it joins the maps (B, C', h, w).
        class_emb: Embedding of the class of each image (B, 4 C), if there are classes.
    """

    feature: Tensor
    class_emb: Tensor | None


@MODELS.register_module()
class SegDiffUNet(BaseModule):
    """Denoiser of SegDiff (arXiv 2112.00390): from noisy mask, time and image feature to noise.

    Parameters are named as in the released code. It outputs zero until it is trained. The paper
    only names its ablations of the fusion; how ``concat``, ``input_concat`` and ``fusion_level``
    are wired is our reading.

    Args:
        in_channels: Channels of the noisy mask.
        out_channels: Channels of the output: those of the noise, twice as many with a variance.
        feature_channels: Channels of the image feature.
        model_channels: Width C, a multiple of 32.
        channel_mult: Width of each level over C, fine to coarse; each level halves the map.
        num_res_blocks: Residual blocks of a level of the encoder; its decoder has one more.
        attention_downsample: Downsampling factors of the levels with attention; the coarsest map
            between encoder and decoder always has it.
        num_heads: Attention heads.
        dropout: Dropout inside the residual blocks.
        scale_shift: The time scales and shifts the norms instead of being added.
        num_image_classes: Classes of an image, of which the denoiser is told; None for none.
        fusion: ``add`` the feature to the mask's; ``concat`` both; ``input_concat`` the noisy mask
            and the image itself, which then has to be the feature.
        fusion_level: How often the map has been halved where the feature is added.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        feature_channels: int,
        model_channels: int = 128,
        channel_mult: Sequence[int] = (1, 1, 2, 2, 4, 4),
        num_res_blocks: int = 3,
        attention_downsample: Sequence[int] = (8, 16),
        num_heads: int = 4,
        dropout: float = 0.0,
        scale_shift: bool = False,
        num_image_classes: int | None = None,
        fusion: str = 'add',
        fusion_level: int = 0,
    ) -> None:
        super().__init__()
        levels = len(channel_mult)
        _check_options(levels, attention_downsample, fusion, fusion_level)
        self.in_channels, self.model_channels = in_channels, model_channels
        self.fusion = fusion
        self.fused_block = fusion_level * (num_res_blocks + 1)  # index in `input_blocks`
        self.stride = 2 ** (levels - 1)
        emb_channels = 4 * model_channels

        def res_block(inputs: int, outputs: int) -> ResBlock:
            return ResBlock(
                in_channels=inputs,
                out_channels=outputs,
                emb_channels=emb_channels,
                dropout=dropout,
                scale_shift=scale_shift,
            )

        def attention(channels: int, level: int) -> list[SelfAttention]:
            if 2**level not in attention_downsample:
                return []
            return [SelfAttention(channels=channels, num_heads=num_heads)]

        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, emb_channels),
            nn.SiLU(),
            nn.Linear(emb_channels, emb_channels),
        )
        self.label_emb = None
        if num_image_classes is not None:
            self.label_emb = nn.Embedding(num_image_classes, emb_channels)

        inputs = in_channels + feature_channels if fusion == 'input_concat' else in_channels
        self.input_blocks = ModuleList(
            [TimeSequential(nn.Conv2d(inputs, model_channels, 3, padding=1))]
        )
        width = model_channels + feature_channels if fusion == 'concat' else model_channels
        skips = [width]
        for level, multiplier in enumerate(channel_mult):
            for _ in range(num_res_blocks):
                block = res_block(width, multiplier * model_channels)
                width = multiplier * model_channels
                self.input_blocks.append(TimeSequential(block, *attention(width, level)))
                skips.append(width)
            if level < levels - 1:
                self.input_blocks.append(TimeSequential(Downsample(width)))
                skips.append(width)
        self.middle_block = TimeSequential(
            res_block(width, width),
            SelfAttention(channels=width, num_heads=num_heads),
            res_block(width, width),
        )
        if fusion == 'add':
            self.feature_layers = _downsample_feature(
                feature_channels, skips[self.fused_block], fusion_level
            )
        self.output_blocks = ModuleList()
        for level in reversed(range(levels)):
            for i in range(num_res_blocks + 1):
                block = res_block(width + skips.pop(), channel_mult[level] * model_channels)
                width = channel_mult[level] * model_channels
                layers = [block, *attention(width, level)]
                if level > 0 and i == num_res_blocks:
                    layers.append(Upsample(width))
                self.output_blocks.append(TimeSequential(*layers))
        self.out = nn.Sequential(
            GroupNorm32(width), nn.SiLU(), nn.Conv2d(width, out_channels, 3, padding=1)
        )
        constant_init(self.out[2], 0)

    def prepare(self, feature: Tensor, class_ids: Tensor | None = None) -> Context:
        """Everything that depends neither on the time nor on the noisy mask.

        Args:
            feature: Image feature (B, feature_channels, H, W).
            class_ids: Class of each image (B,), with ``num_image_classes`` only.

        Raises:
            ValueError: H or W is not a multiple of ``stride``, or the classes are missing or not
                expected.
        """
        if (class_ids is None) != (self.label_emb is None):
            raise ValueError(
                'class_ids are needed if and only if the denoiser is built with num_image_classes'
            )
        h, w = feature.shape[-2:]
        if h % self.stride or w % self.stride:
            raise ValueError(
                f'{type(self).__name__} halves its map down to 1/{self.stride}, so the height and '
                f'width of an image must be multiples of {self.stride}, got {h}x{w}: set '
                f"'size_divisor={self.stride}' in the data_preprocessor's test_cfg, and use a crop "
                f'size that is a multiple in training'
            )
        if self.fusion == 'add':
            feature = self.feature_layers(feature)
        elif self.fusion == 'input_concat':
            # a convolution is linear, so the image's share of the first one is a term to add
            weight = self.input_blocks[0][0].weight[:, self.in_channels :]
            feature = F.conv2d(feature, weight, padding=1)
        return Context(feature, None if class_ids is None else self.label_emb(class_ids))

    def forward(self, z_t: Tensor, t: Tensor, context: Context) -> Tensor:
        """Denoise one step.

        Args:
            z_t: Noisy masks (G * B, in_channels, H, W), all B images once per generation.
            t: Time index of each mask (G * B,), or (1,) for all; of the original, un-respaced
                chain, unscaled.
            context: From :meth:`prepare`, for B images.

        Returns:
            (G * B, out_channels, H, W), float32 under autocast.
        """
        emb = self._embed(t)
        if context.class_emb is not None:
            generations = len(z_t) // len(context.class_emb)
            emb = emb + context.class_emb.repeat(generations, 1)  # (G * B, 4 C)
        stem = self.input_blocks[0][0]
        h = F.conv2d(
            z_t.to(context.feature.dtype), stem.weight[:, : self.in_channels], stem.bias, padding=1
        )
        skips = []
        for i, block in enumerate(self.input_blocks):
            if i > 0:
                h = block(h, emb)
            if i == self.fused_block:
                h = self._fuse(h, context.feature)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        # the last layer stays in the weights' own precision, as in the released half-precision code
        with torch.autocast(h.device.type, enabled=False):
            return self.out(h.to(self.out[2].weight.dtype))

    def _embed(self, t: Tensor) -> Tensor:
        """Embedding (G * B or 1, 4 C) of the time."""
        with torch.autocast(t.device.type, enabled=False):
            waves = sinusoidal_embedding(t, self.model_channels, cos_first=True)
            return self.time_embed(waves.to(self.time_embed[0].weight.dtype))

    def _fuse(self, h: Tensor, feature: Tensor) -> Tensor:
        """Bring the images' feature (B, C', h, w) to the maps (G * B, C, h, w)."""
        h = h.unflatten(0, (-1, len(feature)))  # (G, B, C, h, w)
        if self.fusion == 'concat':
            h = torch.cat([h, feature.expand(len(h), -1, -1, -1, -1)], dim=2)
        else:
            h = h + feature
        return h.flatten(0, 1)


def _check_options(
    levels: int, attention_downsample: Sequence[int], fusion: str, fusion_level: int
) -> None:
    factors = [2**level for level in range(levels)]
    if not set(attention_downsample) <= set(factors):
        raise ValueError(
            f'attention_downsample must be among the downsampling factors {factors} of the '
            f'{levels} levels in channel_mult, got {tuple(attention_downsample)}'
        )
    if fusion not in FUSIONS:
        raise ValueError(f'fusion must be one of {FUSIONS}, got {fusion!r}')
    if not 0 <= fusion_level < levels:
        raise ValueError(
            f'fusion_level must be at least 0 and less than the {levels} levels in channel_mult, '
            f'got {fusion_level}'
        )
    if fusion != 'add' and fusion_level != 0:
        raise ValueError(
            f"fusion_level is for fusion='add', got {fusion_level} with fusion={fusion!r}"
        )


def _downsample_feature(channels: int, width: int, level: int) -> nn.Sequential:
    """Halve a feature ``level`` times and give it the width of the map that it is added to."""
    if level == 0 and channels != width:
        raise ValueError(
            f'feature_channels must equal model_channels to be added at fusion_level 0, got '
            f"{channels} and {width}: set the backbone's out_channels to {width}"
        )
    layers = []
    for i in range(level):
        outputs = width if i == level - 1 else channels
        layers += [nn.LeakyReLU(0.2), nn.Conv2d(channels, outputs, 3, stride=2, padding=1)]
    return nn.Sequential(*layers)
