"""CCDM's denoiser: a time-conditioned U-Net that reads the noisy label map beside the image."""

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
    repeat_images,
)
from mmdiffseg.registry import MODELS


class Context(NamedTuple):
    """What :meth:`CCDMUNet.prepare` makes of B images.

    Attributes:
        image: The images (B, C, H, W).
        features: Features (B, C', h, w) of the size of the block that reads them; None without.
    """

    image: Tensor
    features: Tensor | None


@MODELS.register_module()
class CCDMUNet(BaseModule):
    """Denoiser of CCDM (Zbinden et al., 2023): the map and the image enter at the first layer.

    The parameter names are those of the released code. An untrained network outputs zero. Without
    a noisy map (``in_channels=0``) it is an ordinary segmentation network of the same size.

    Args:
        in_channels: Channels of the noisy map.
        out_channels: Channels of the output.
        image_channels: Channels of the image.
        feature_channels: Channels of further features of the image (CCDM on Cityscapes: the 384 of
            DINO's ViT-S/8); None without.
        feature_block: Number of the input block to whose input the features are concatenated; the
            released code has 10 or 11, the two residual blocks of stride 8.
        model_channels: Width C, a multiple of 32.
        channel_mult: Width of each level in units of C, fine to coarse.
        num_res_blocks: Residual blocks per encoder level. Each decoder level has one more.
        attention_downsample: Downsampling factors of the levels with attention. The middle block
            always has attention.
        num_head_channels: Width of an attention head.
        decoder_dropout: Dropout probability in the two deepest levels of the decoder and before
            the output layer, for MC dropout.

    Raises:
        ValueError: The options do not fit together.

    Example:
        >>> network = CCDMUNet(in_channels=2, out_channels=2, image_channels=1)
        >>> context = network.prepare(torch.randn(1, 1, 64, 64))  # once per image
        >>> network(torch.randn(4, 2, 64, 64), torch.tensor([250]), context).shape
        torch.Size([4, 2, 64, 64])
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        image_channels: int,
        feature_channels: int | None = None,
        feature_block: int = 11,
        model_channels: int = 32,
        channel_mult: Sequence[int] = (1, 1, 2, 3, 4),
        num_res_blocks: int = 2,
        attention_downsample: Sequence[int] = (8, 16),
        num_head_channels: int = 32,
        decoder_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        levels = len(channel_mult)
        if levels == 0:
            raise ValueError('channel_mult must have at least one level, got ()')
        factors = [2**level for level in range(levels)]
        if not set(attention_downsample) <= set(factors):
            raise ValueError(
                f'attention_downsample must be among the downsampling factors {factors} of the '
                f'{levels} levels in channel_mult, got {tuple(attention_downsample)}'
            )
        self.model_channels = model_channels
        self.stride = factors[-1]
        self.feature_block = None
        joined = {}
        if feature_channels is not None:
            # every level has a downsampling after its residual blocks; block 0 is the stem
            level, place = divmod(feature_block - 1, num_res_blocks + 1)
            if not 0 <= level < levels or place == num_res_blocks:
                raise ValueError(
                    f'feature_block={feature_block} is none of the residual blocks of the '
                    f'{levels} levels in channel_mult'
                )
            self.feature_block, self.feature_stride = feature_block, factors[level]
            joined = {feature_block: feature_channels}
        emb_channels = 4 * model_channels
        widths = [multiplier * model_channels for multiplier in channel_mult]

        def stage(inputs: int, outputs: int, level: int, dropout: float = 0.0) -> list[nn.Module]:
            layers: list[nn.Module] = [
                ResBlock(
                    in_channels=inputs,
                    out_channels=outputs,
                    emb_channels=emb_channels,
                    dropout=dropout if level >= levels - 2 else 0.0,
                )
            ]
            if factors[level] in attention_downsample:
                layers.append(attention(outputs))
            return layers

        def attention(width: int) -> SelfAttention:
            return SelfAttention(channels=width, num_heads=width // num_head_channels)

        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, emb_channels),
            nn.SiLU(),
            nn.Linear(emb_channels, emb_channels),
        )
        self.input_blocks, skips = encoder_blocks(
            nn.Conv2d(in_channels + image_channels, widths[0], 3, padding=1),
            stage,
            stem_channels=widths[0],
            widths=widths,
            num_stages=num_res_blocks,
            joined=joined,
        )
        middle = partial(
            ResBlock, in_channels=widths[-1], out_channels=widths[-1], emb_channels=emb_channels
        )
        self.middle_block = TimeSequential(middle(), attention(widths[-1]), middle())
        self.output_blocks = decoder_blocks(
            partial(stage, dropout=decoder_dropout),
            skips=skips,
            widths=widths,
            num_stages=num_res_blocks,
        )
        self.out = nn.Sequential(
            GroupNorm32(widths[0]), nn.SiLU(), nn.Conv2d(widths[0], out_channels, 3, padding=1)
        )
        constant_init(self.out[2], 0)
        self.dropout = nn.Dropout(decoder_dropout)

    def prepare(self, image: Tensor, features: Tensor | None = None) -> Context:
        """Check the images, and bring their features to the size of the block that reads them.

        Args:
            image: Images (B, image_channels, H, W).
            features: Their features (B, feature_channels, h, w); needed if and only if the network
                has ``feature_channels``.

        Returns:
            The context for :meth:`forward`.

        Raises:
            ValueError: H or W is not a multiple of ``stride``, or the features are missing or not
                expected.
        """
        if (features is None) != (self.feature_block is None):
            raise ValueError(
                'features are needed if and only if the denoiser is built with feature_channels'
            )
        check_image(self, image)
        h, w = image.shape[-2:]
        if features is not None:
            size = (h // self.feature_stride, w // self.feature_stride)
            features = F.interpolate(features, size, mode='bilinear', align_corners=False)
        return Context(image, features)

    def forward(self, z_t: Tensor, t: Tensor, context: Context) -> Tensor:
        """Say what the head asks for of noisy maps, such as the logits of the clean classes.

        Args:
            z_t: Noisy maps (G * B, in_channels, H, W), all B images once per generation.
            t: Times, unscaled: (G * B,), or (1,) for all maps. CCDM counts them 1 .. T.
            context: What :meth:`prepare` returns for the B images.

        Returns:
            (G * B, out_channels, H, W).
        """
        emb = embed_time(self.time_embed, t)
        image, features = context
        h = torch.cat([z_t.to(image.dtype), repeat_images(image, z_t.shape[0])], dim=1)
        skips = []
        for i, block in enumerate(self.input_blocks):
            if i == self.feature_block:
                h = torch.cat([h, repeat_images(features, z_t.shape[0]).to(h.dtype)], dim=1)
            h = block(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        # the output layer keeps the precision of its weights
        with torch.autocast(h.device.type, enabled=False):
            h = self.out[:2](h.to(self.out[2].weight.dtype))
            return self.out[2](self.dropout(h))
