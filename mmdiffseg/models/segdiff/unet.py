"""SegDiff's denoiser: a time-conditioned U-Net over the noisy mask and the feature of the image."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, constant_init
from torch import Tensor, nn

from mmdiffseg.models.layers.unet_blocks import (
    GroupNorm32,
    ResBlock,
    SelfAttention,
    TimeSequential,
    check_image,
    decoder_blocks,
    embed_time,
    encoder_blocks,
)
from mmdiffseg.registry import MODELS

FUSIONS = ('add', 'concat', 'input_concat')


class Context(NamedTuple):
    """What :meth:`SegDiffUNet.prepare` computes once for B images.

    Attributes:
        feature: Image feature (B, C', h, w), ready to be fused with the mask feature.
        class_emb: Embedding (B, 4 C) of the class of each image; None without classes.
    """

    feature: Tensor
    class_emb: Tensor | None


@MODELS.register_module()
class SegDiffUNet(BaseModule):
    """Denoiser of SegDiff (arXiv 2112.00390), from noisy mask, time and image feature to noise.

    The parameter names are those of the released code. An untrained network outputs zero. The
    paper gives no details of its fusion ablations: the wiring of ``concat``, ``input_concat`` and
    ``fusion_level`` is ours.

    Args:
        in_channels: Channels of the noisy mask.
        out_channels: Channels of the output: ``in_channels`` for the noise alone, twice as many
            for the noise and the variance.
        feature_channels: Channels of the image feature.
        model_channels: Width C, a multiple of 32.
        channel_mult: Width of each level in units of C, fine to coarse. Each level has half the
            resolution of the one before it.
        num_res_blocks: Residual blocks per encoder level. Each decoder level has one more.
        attention_downsample: Downsampling factors of the levels with attention. The middle block
            always has attention.
        num_heads: Attention heads of the encoder and the middle block.
        num_heads_upsample: Attention heads of the decoder; None or -1 takes ``num_heads``.
        dropout: Dropout probability inside the residual blocks.
        scale_shift: Whether the time scales and shifts the norms instead of being added.
        num_image_classes: Number of image classes that the network is conditioned on; None for an
            unconditioned network.
        fusion: ``'add'`` adds the image feature to the mask feature, ``'concat'`` concatenates the
            two, ``'input_concat'`` concatenates the noisy mask and the image, which must then be
            the feature.
        fusion_level: Number of downsamplings after which ``'add'`` adds the image feature.
        time_table: Learn a vector for each of so many times (SegRefiner), in place of layers over
            sinusoids of the time.
        zero_init: Start blocks and output at zero. SegRefiner starts all layers as torch does.

    Raises:
        ValueError: The options do not fit together.

    Example:
        >>> network = SegDiffUNet(in_channels=1, out_channels=1, feature_channels=128)
        >>> context = network.prepare(torch.randn(2, 128, 64, 64))  # once per image
        >>> network(torch.randn(6, 1, 64, 64), torch.tensor([99]), context).shape
        torch.Size([6, 1, 64, 64])
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
        num_heads_upsample: int | None = None,
        dropout: float = 0.0,
        scale_shift: bool = False,
        num_image_classes: int | None = None,
        fusion: str = 'add',
        fusion_level: int = 0,
        time_table: int | None = None,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        levels = len(channel_mult)
        _check_options(levels, attention_downsample, fusion, fusion_level)
        self.in_channels, self.model_channels = in_channels, model_channels
        self.fusion = fusion
        self.fused_block = fusion_level * (num_res_blocks + 1)  # index in `input_blocks`
        self.stride = 2 ** (levels - 1)
        emb_channels = 4 * model_channels
        if num_heads_upsample in (None, -1):
            num_heads_upsample = num_heads

        def res_block(inputs: int, outputs: int) -> ResBlock:
            return ResBlock(
                in_channels=inputs,
                out_channels=outputs,
                emb_channels=emb_channels,
                dropout=dropout,
                scale_shift=scale_shift,
            )

        def stage(inputs: int, outputs: int, level: int, heads: int = num_heads) -> list:
            layers = [res_block(inputs, outputs)]
            if 2**level in attention_downsample:
                layers.append(SelfAttention(channels=outputs, num_heads=heads))
            return layers

        if time_table is None:
            self.time_embed = nn.Sequential(
                nn.Linear(model_channels, emb_channels),
                nn.SiLU(),
                nn.Linear(emb_channels, emb_channels),
            )
        else:
            self.time_embed = nn.Embedding(time_table, emb_channels)
        self.num_image_classes = num_image_classes
        self.label_emb = None
        if num_image_classes is not None:
            self.label_emb = nn.Embedding(num_image_classes, emb_channels)

        inputs = in_channels + feature_channels if fusion == 'input_concat' else in_channels
        widths = [multiplier * model_channels for multiplier in channel_mult]
        self.input_blocks, skips = encoder_blocks(
            nn.Conv2d(inputs, model_channels, 3, padding=1),
            stage,
            stem_channels=model_channels + (feature_channels if fusion == 'concat' else 0),
            widths=widths,
            num_stages=num_res_blocks,
        )
        width = widths[-1]
        self.middle_block = TimeSequential(
            res_block(width, width),
            SelfAttention(channels=width, num_heads=num_heads),
            res_block(width, width),
        )
        if fusion == 'add':
            self.feature_layers = _downsample_feature(
                feature_channels, skips[self.fused_block], fusion_level
            )
        self.output_blocks = decoder_blocks(
            partial(stage, heads=num_heads_upsample),
            skips=skips,
            widths=widths,
            num_stages=num_res_blocks,
        )
        self.out = nn.Sequential(
            GroupNorm32(widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], out_channels, 3, padding=1),
        )
        constant_init(self.out[2], 0)
        if not zero_init:
            for module in self.modules():
                if isinstance(module, ResBlock):
                    module.out_layers[3].reset_parameters()
                elif isinstance(module, SelfAttention):
                    module.proj_out.reset_parameters()
            self.out[2].reset_parameters()

    def prepare(self, feature: Tensor, class_ids: Tensor | None = None) -> Context:
        """Compute what depends on neither the time nor the noisy mask.

        Args:
            feature: Image feature (B, feature_channels, H, W).
            class_ids: Class of each image (B,); needed if and only if the network has
                ``num_image_classes``.

        Returns:
            The context for :meth:`forward`.

        Raises:
            ValueError: H or W is not a multiple of ``stride``, or the classes are missing or not
                expected.
        """
        if (class_ids is None) != (self.label_emb is None):
            raise ValueError(
                'class_ids are needed if and only if the denoiser is built with num_image_classes'
            )
        check_image(self, feature)
        if self.fusion == 'add':
            feature = self.feature_layers(feature)
        elif self.fusion == 'input_concat':
            # a convolution is linear: the image's share of the first one can be added later
            weight = self.input_blocks[0][0].weight[:, self.in_channels :]
            feature = F.conv2d(feature, weight, padding=1)
        return Context(feature, None if class_ids is None else self.label_emb(class_ids))

    def forward(self, z_t: Tensor, t: Tensor, context: Context) -> Tensor:
        """Predict the noise in noisy masks, or what else ``prediction_type`` of the head says.

        Args:
            z_t: Noisy masks (G * B, in_channels, H, W), all B images once per generation.
            t: Time index in 0 .. T - 1, unscaled: (G * B,), or (1,) for all masks.
            context: What :meth:`prepare` returns for the B images.

        Returns:
            (G * B, out_channels, H, W), float32 under autocast.
        """
        emb = self._embed(t)
        if context.class_emb is not None:
            generations = z_t.shape[0] // len(context.class_emb)
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
        # the output layer keeps the precision of its weights, as in the released fp16 code
        with torch.autocast(h.device.type, enabled=False):
            return self.out(h.to(self.out[2].weight.dtype))

    def _embed(self, t: Tensor) -> Tensor:
        """Embed the time, (G * B or 1, 4 C)."""
        if isinstance(self.time_embed, nn.Embedding):
            return self.time_embed(t)
        return embed_time(self.time_embed, t)

    def _fuse(self, h: Tensor, feature: Tensor) -> Tensor:
        """Combine the maps (G * B, C, h, w) with the feature (B, C', h, w) of their images."""
        h = h.unflatten(0, (-1, len(feature)))  # (G, B, C, h, w)
        if self.fusion == 'concat':
            h = torch.cat([h, feature.expand(len(h), -1, -1, -1, -1)], dim=2)
        else:
            h = h + feature
        return h.flatten(0, 1)


def _check_options(
    levels: int, attention_downsample: Sequence[int], fusion: str, fusion_level: int
) -> None:
    """Refuse options that do not fit together."""
    if levels == 0:
        raise ValueError('channel_mult must have at least one level, got ()')
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
            f"fusion_level needs fusion='add', got {fusion_level} with fusion={fusion!r}"
        )


def _downsample_feature(channels: int, width: int, level: int) -> nn.Sequential:
    """Build layers that halve a feature ``level`` times and project it to ``width`` channels."""
    if level == 0 and channels != width:
        raise ValueError(
            f'feature_channels must equal model_channels at fusion_level 0, got '
            f"{channels} and {width}: set the backbone's out_channels to {width}"
        )
    layers = []
    for i in range(level):
        outputs = width if i == level - 1 else channels
        layers += [nn.LeakyReLU(0.2), nn.Conv2d(channels, outputs, 3, stride=2, padding=1)]
    return nn.Sequential(*layers)
