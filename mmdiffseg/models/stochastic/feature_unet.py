"""A light denoiser: the image is encoded once, and every step reads its features."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList, constant_init
from torch import Tensor, nn

from mmdiffseg.models.layers.unet_blocks import (
    GroupNorm32,
    ResBlock,
    TimeSequential,
    check_image,
    decoder_blocks,
    embed_time,
    encoder_blocks,
    repeat_images,
)
from mmdiffseg.registry import MODELS


class Context(NamedTuple):
    """What :meth:`FeatureMapUNet.prepare` makes of B images.

    Attributes:
        image: The images (B, C, H, W).
        maps: What is added where each level begins, fine to coarse: (B, width, H / p, W / p) for
            patches of p pixels, then half the size of the one before.
    """

    image: Tensor
    maps: tuple[Tensor, ...]


@MODELS.register_module()
class FeatureMapUNet(BaseModule):
    """U-Net over patches of the noisy map, which adds features of the image at every level.

    CCDM's U-Net reads the image again in every step. Here a backbone and the top-down path in
    :meth:`prepare` read it once, so that a step, and therefore a sample, is cheap. An untrained
    network outputs zero. Without a noisy map (``in_channels=0``) it is an ordinary segmentation
    network of the same size.

    Args:
        in_channels: Channels of the noisy map.
        out_channels: Channels of the output.
        image_channels: Channels of the image.
        feature_channels: Channels of the backbone's maps, one for each level, fine to coarse. The
            first map has the image's size divided by ``patch_size``.
        patch_size: Side of the patches that the first layer takes and the output layer gives.
        model_channels: Width C, a multiple of 32.
        channel_mult: Width of each level in units of C, fine to coarse.
        num_res_blocks: Residual blocks per encoder level. Each decoder level has one more.
        decoder_dropout: Dropout probability in the two deepest levels of the decoder and before
            the output layer, for MC dropout.

    Raises:
        ValueError: There is not one map of features for each level.

    Example:
        >>> network = FeatureMapUNet(
        ...     in_channels=2, out_channels=2, image_channels=3, feature_channels=(16, 24, 40, 112)
        ... )
        >>> maps = [torch.randn(1, c, 32 >> i, 32 >> i) for i, c in enumerate((16, 24, 40, 112))]
        >>> context = network.prepare(torch.randn(1, 3, 64, 64), *maps)  # once per image
        >>> network(torch.randn(4, 2, 64, 64), torch.tensor([250]), context).shape
        torch.Size([4, 2, 64, 64])
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        image_channels: int,
        feature_channels: Sequence[int],
        patch_size: int = 2,
        model_channels: int = 32,
        channel_mult: Sequence[int] = (1, 1, 2, 3),
        num_res_blocks: int = 1,
        decoder_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        levels = len(channel_mult)
        if len(feature_channels) != levels:
            raise ValueError(
                f'channel_mult has {levels} levels and feature_channels {len(feature_channels)}: '
                'give the channels of one map of features for each level'
            )
        self.patch_size = patch_size
        self.model_channels = model_channels
        self.stride = patch_size * 2 ** (levels - 1)
        widths = [multiplier * model_channels for multiplier in channel_mult]
        pixels = patch_size**2
        emb_channels = 4 * model_channels
        # of the map that enters the stages of each level
        entering = [widths[0], *widths[:-1]]

        # once per image: from coarse to fine, and the pixels themselves at the finest level
        self.lateral = ModuleList(
            nn.Conv2d(channels, width, 1)
            for channels, width in zip(feature_channels, entering, strict=True)
        )
        self.pixels = nn.Conv2d(image_channels * pixels, widths[0], 3, padding=1)
        self.narrow = ModuleList(
            nn.Conv2d(coarse, fine, 1) for fine, coarse in zip(entering, entering[1:], strict=False)
        )
        self.fuse = ModuleList(
            nn.Sequential(nn.Conv2d(w, w, 3, padding=1), GroupNorm32(w), nn.SiLU())
            for w in entering
        )

        def stage(inputs: int, outputs: int, level: int, dropout: float = 0.0) -> list[nn.Module]:
            return [
                ResBlock(
                    in_channels=inputs,
                    out_channels=outputs,
                    emb_channels=emb_channels,
                    dropout=dropout if level >= levels - 2 else 0.0,
                )
            ]

        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, emb_channels),
            nn.SiLU(),
            nn.Linear(emb_channels, emb_channels),
        )
        stem = nn.Conv2d(max(in_channels, 1) * pixels, widths[0], 3, padding=1)
        self.input_blocks, skips = encoder_blocks(
            stem, stage, stem_channels=widths[0], widths=widths, num_stages=num_res_blocks
        )
        # the stem, then stages and a downsampling for each level
        self.entries = [level * (num_res_blocks + 1) for level in range(levels)]
        self.middle_block = TimeSequential(*stage(widths[-1], widths[-1], levels - 1))
        self.output_blocks = decoder_blocks(
            partial(stage, dropout=decoder_dropout),
            skips=skips,
            widths=widths,
            num_stages=num_res_blocks,
        )
        self.dropout = nn.Dropout(decoder_dropout)
        self.out = nn.Sequential(
            GroupNorm32(widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], out_channels * pixels, 3, padding=1),
        )
        constant_init(self.out[2], 0)

    def prepare(self, image: Tensor, *features: Tensor) -> Context:
        """Merge the features of the images from coarse to fine.

        Args:
            image: Images (B, image_channels, H, W).
            features: Their maps (B, feature_channels[i], h_i, w_i), fine to coarse.

        Returns:
            The context for :meth:`forward`.

        Raises:
            ValueError: H or W is not a multiple of ``stride``, or there is not one map per level.
        """
        check_image(self, image)
        if len(features) != len(self.lateral):
            raise ValueError(
                f'{type(self).__name__} reads {len(self.lateral)} maps of features beside the '
                f'image, got {len(features)}: use mmdiffseg.ImageAndFeatures as the backbone'
            )
        maps: list[Tensor] = []
        for level in reversed(range(len(features))):
            h = self.lateral[level](features[level])
            if maps:
                h = h + F.interpolate(self.narrow[level](maps[0]), h.shape[2:], mode='nearest')
            if level == 0:
                h = h + self.pixels(F.pixel_unshuffle(image, self.patch_size))
            maps.insert(0, self.fuse[level](h))
        return Context(image, tuple(maps))

    def forward(self, z_t: Tensor, t: Tensor, context: Context) -> Tensor:
        """Say what the head asks for of noisy maps, such as the logits of the clean classes.

        Args:
            z_t: Noisy maps (G * B, in_channels, H, W), all B images once per generation.
            t: Times, unscaled: (G * B,), or (1,) for all maps.
            context: What :meth:`prepare` returns for the B images.

        Returns:
            (G * B, out_channels, H, W).
        """
        emb = embed_time(self.time_embed, t)
        count = z_t.shape[0]
        if not z_t.shape[1]:
            z_t = z_t.new_zeros(count, 1, *z_t.shape[2:])
        h = F.pixel_unshuffle(z_t.to(context.image.dtype), self.patch_size)
        skips, maps = [], iter(context.maps)
        for i, block in enumerate(self.input_blocks):
            h = block(h, emb)
            if i in self.entries:
                h = h + repeat_images(next(maps), count).to(h.dtype)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        # the output layer keeps the precision of its weights
        with torch.autocast(h.device.type, enabled=False):
            h = self.out[:2](h.to(self.out[2].weight.dtype))
            h = self.out[2](self.dropout(h))
        return F.pixel_shuffle(h, self.patch_size)
