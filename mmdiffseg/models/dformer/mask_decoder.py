"""DFormer's decoder: Mask2Former's with noisy masks instead of learned query features."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from torch import Tensor, nn

from mmdiffseg.models.dformer.attention import attend, keys_and_values
from mmdiffseg.models.dformer.mask_classification import MaskPrediction
from mmdiffseg.models.dformer.mask_grid import MaskGrid
from mmdiffseg.models.layers.time_embedding import sinusoidal_embedding

TIME_MODULATIONS = ('all', 'first')


class ImageContext(NamedTuple):
    """What the decoder needs of B images at every step, computed once.

    Attributes:
        pixel_features: (B, C, H / 4, W / 4).
        level_features: The pixel features resized to each level (B, C, h, w), from low resolution
            to high. A layer's masks are resized for the attention of the layer after it. Masks are
            linear in the pixel features, so they can as well be made at that size.
        keys: Of each layer's cross-attention (B, heads, h * w, C / heads). They depend neither on
            the queries nor on the time.
        values: Likewise.
        grid: Which pixels of the noisy masks are read.
    """

    pixel_features: Tensor
    level_features: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]
    grid: MaskGrid

    def repeat(self, times: int) -> 'ImageContext':
        """The context of all images ``times`` times over, for several generations."""
        if times == 1:
            return self
        return ImageContext(
            _repeat(self.pixel_features, times),
            [_repeat(x, times) for x in self.level_features],
            [_repeat(x, times) for x in self.keys],
            [_repeat(x, times) for x in self.values],
            self.grid.repeat(times),
        )


class MaskReading(NamedTuple):
    """All that the decoder sees of the noisy masks.

    Attributes:
        weights: The masks at the size of the pixel features (B, Q, H / 4, W / 4), in [0, 1].
        visible: Where they are on at the lowest resolution (B, Q, H / 32 * W / 32), boolean.
    """

    weights: Tensor
    visible: Tensor


class Sinusoid(nn.Module):
    """Layer that embeds times (B,) by :func:`sinusoidal_embedding`: (B, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, t: Tensor) -> Tensor:
        """Embed times (B,)."""
        return sinusoidal_embedding(t, self.channels, last_frequency_included=True)


def pool_queries(weights: Tensor, features: Tensor) -> Tensor:
    """Mean of the features under each mask.

    The sum is in float64, as in the released code. That also keeps it out of half precision.

    Args:
        weights: Masks (B, Q, h, w), not negative.
        features: (B, C, h, w).

    Returns:
        (B, Q, C), float32; 0 for an empty mask.
    """
    weights = weights.flatten(2).double()  # (B, Q, h * w)
    features = features.flatten(2).double()  # (B, C, h * w)
    total = weights.sum(dim=-1, keepdim=True)
    total = total.masked_fill(total == 0, 1)
    return (torch.einsum('bqs,bcs->bqc', weights, features) / total).float()


def visible_places(masks: Tensor) -> Tensor:
    """Where soft masks (B, Q, h, w) let a query look: (B, Q, h * w), boolean.

    That is where they are on; at 0.5 too, which is frequent. A mask that is off everywhere hides
    nothing.
    """
    visible = masks.flatten(2) >= 0.5
    return visible | ~visible.any(dim=-1, keepdim=True)


class NoisyMaskDecoder(Mask2FormerHead):
    """Mask2Former's head, told about noisy masks and their time (DFormer, arXiv 2306.03437).

    The queries start as the image's features, pooled under the noisy masks. These are the first
    attention masks too. The time scales and shifts every layer's output. Each layer ends in a
    prediction; there is none before the first. The set loss is inherited.

    Args:
        feat_channels: Width C of the decoder.
        time_modulation: Which layers the time modulates, ``'all'`` or the ``'first'``.
        **mask2former: The other arguments of mmdet's ``Mask2FormerHead``.
    """

    def __init__(self, *, feat_channels: int, time_modulation: str, **mask2former) -> None:
        if time_modulation not in TIME_MODULATIONS:
            raise ValueError(
                f'time_modulation must be one of {TIME_MODULATIONS}, got {time_modulation!r}'
            )
        for name, least in dict(num_queries=1, num_things_classes=0, num_stuff_classes=0).items():
            value = mask2former.get(name, least)
            if value < least:
                raise ValueError(f'{name} must be at least {least}, got {value}')
        super().__init__(feat_channels=feat_channels, **mask2former)
        del self.query_feat  # the noisy masks stand in its place
        self.time_modulation = time_modulation
        time_channels = 4 * feat_channels
        self.time_mlp = nn.Sequential(
            Sinusoid(feat_channels),
            nn.Linear(feat_channels, time_channels),
            nn.GELU(),
            nn.Linear(time_channels, time_channels),
        )
        # one for all layers
        self.block_time_mlp = nn.Sequential(
            nn.SiLU(), nn.Linear(time_channels, 2 * self.decoder_embed_dims)
        )

    def init_weights(self) -> None:
        """Draw the decoder's matrices from a uniform distribution, not from mmdet's normal one."""
        super().init_weights()
        for parameter in self.transformer_decoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def prepare_images(self, x: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> ImageContext:
        """Compute everything that does not depend on the time or the noisy masks.

        Args:
            x: The backbone's maps (B, in_channels[i], H / strides[i], W / strides[i]).
            sizes: Height and width of each image's noisy masks; any, they cover the padded image.
        """
        pixel_features, maps = self.pixel_decoder(x)
        tokens, positions = [], []
        for level, map_ in enumerate(maps):
            projected = self.decoder_input_projs[level](map_).flatten(2).transpose(1, 2)
            tokens.append(projected + self.level_embed.weight[level])  # (B, h * w, C)
            no_padding = map_.new_zeros((1, *map_.shape[2:]), dtype=torch.bool)
            encoding = self.decoder_positional_encoding(no_padding)  # (1, C, h, w)
            positions.append(encoding.flatten(2).transpose(1, 2))
        keys, values = [], []
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % self.num_transformer_feat_level
            key_input = tokens[level] + positions[level]
            key, value = keys_and_values(layer.cross_attn, key_input, tokens[level])
            keys.append(key)
            values.append(value)
        shapes = [tuple(map_.shape[2:]) for map_ in maps]
        # constants to the masks of the attention, which no gradient passes
        level_features = [_resize(pixel_features.detach(), shape) for shape in shapes]
        grid = MaskGrid(
            sizes,
            fine=tuple(pixel_features.shape[2:]),
            coarse=shapes[0],
            device=pixel_features.device,
        )
        return ImageContext(pixel_features, level_features, keys, values, grid)

    def read(self, soft_masks: Tensor, context: ImageContext) -> MaskReading:
        """Resize noisy masks to what the decoder sees of them.

        Args:
            soft_masks: Masks on the grid (B, Q, n, m), in [0, 1].
            context: From :meth:`prepare_images`.
        """
        weights, small = context.grid.read(soft_masks)
        return MaskReading(weights, visible_places(small))

    def decode(self, reading: MaskReading, t: Tensor, context: ImageContext) -> MaskPrediction:
        """The last layer's prediction.

        Args:
            reading: Of the noisy masks, from :meth:`read`.
            t: Their times (B,), or (1,) for all.
            context: From :meth:`prepare_images`.
        """
        (queries,) = deque(self._run_layers(reading, t, context), maxlen=1)
        return self._predict(queries, context)

    def decode_every_layer(
        self, reading: MaskReading, t: Tensor, context: ImageContext
    ) -> list[MaskPrediction]:
        """Every layer's prediction, the last one's at the end; see :meth:`decode`."""
        return [
            self._predict(queries, context) for queries in self._run_layers(reading, t, context)
        ]

    def _run_layers(
        self, reading: MaskReading, t: Tensor, context: ImageContext
    ) -> Iterator[Tensor]:
        """Yield each layer's normalised queries (B, Q, C)."""
        scale_shift = self.block_time_mlp(self.time_mlp(t)).float()
        scale, shift = scale_shift[:, None].chunk(2, dim=-1)  # (B or 1, 1, C) each
        positions = self.query_embed.weight[None]
        queries = pool_queries(reading.weights, context.pixel_features)
        visible = reading.visible
        layers = self.transformer_decoder.layers
        for i, layer in enumerate(layers):
            queries = self._run_layer(
                layer, queries, positions, context.keys[i], context.values[i], visible
            )
            if i == 0 or self.time_modulation == 'all':
                queries = queries * (1 + scale) + shift
            normed = self.transformer_decoder.post_norm(queries)
            yield normed
            if i + 1 < len(layers):
                features = context.level_features[(i + 1) % self.num_transformer_feat_level]
                with torch.no_grad():
                    visible = visible_places(self._masks(normed, features).sigmoid())

    @staticmethod
    def _run_layer(
        layer: nn.Module,
        queries: Tensor,
        positions: Tensor,
        keys: Tensor,
        values: Tensor,
        visible: Tensor,
    ) -> Tensor:
        """Cross-attention, self-attention and feed-forward network, with a norm after each."""
        queries = attend(layer.cross_attn, queries, positions, keys, values, visible)
        queries = layer.norms[0](queries)
        own = keys_and_values(layer.self_attn, queries + positions, queries)
        queries = layer.norms[1](attend(layer.self_attn, queries, positions, *own))
        return layer.norms[2](layer.ffn(queries))

    def _masks(self, normed: Tensor, features: Tensor) -> Tensor:
        """Mask logits (B, Q, h, w) of queries (B, Q, C) on features (B, C, h, w)."""
        return torch.einsum('bqc,bchw->bqhw', self.mask_embed(normed), features)

    def _predict(self, normed: Tensor, context: ImageContext) -> MaskPrediction:
        masks = self._masks(normed, context.pixel_features)
        return MaskPrediction(self.cls_embed(normed).float(), masks.float())


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (B, C, h, w) bilinearly."""
    # channel by channel: of several, torch first copies the whole map to the channels-last layout
    single = maps.flatten(0, 1)[:, None]
    resized = F.interpolate(single, size=size, mode='bilinear', align_corners=False)
    return resized.view(*maps.shape[:2], *size)


def _repeat(x: Tensor, times: int) -> Tensor:
    """All rows of x (B, ...) ``times`` times over; a single one is not copied."""
    return x.expand(times, *x.shape).flatten(0, 1)
