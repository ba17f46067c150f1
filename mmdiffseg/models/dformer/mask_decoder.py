"""DFormer's decoder: Mask2Former's, with noisy masks where that has learned query features."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmdiffseg.models.dformer.mask_classification import MaskPrediction
from mmdiffseg.models.layers.time_embedding import sinusoidal_embedding

TIME_MODULATIONS = ('all', 'first')


class ImageContext(NamedTuple):
    """What the decoder needs of the images at every step, computed once.

    Attributes:
        pixel_features: (B, C, H / 4, W / 4).
        level_features: The same at the size of each level (B, C, h, w), from low resolution to
            high. A layer's masks are resized for the attention of the next; since they are linear
            in these features, they can as well be made at that size.
        tokens: Keys and values of each level (B, h * w, C), from low resolution to high.
        positions: Their sine encodings (1, h * w, C).
        shapes: Height and width of each level.
    """

    pixel_features: Tensor
    level_features: list[Tensor]
    tokens: list[Tensor]
    positions: list[Tensor]
    shapes: list[torch.Size]


class MaskReading(NamedTuple):
    """All that the decoder sees of the noisy masks.

    Attributes:
        weights: The masks at the size of the pixel features (B, Q, H / 4, W / 4), in [0, 1].
        blocked: Where they are off at the lowest resolution (B, Q, H / 32 * W / 32), boolean.
    """

    weights: Tensor
    blocked: Tensor


class Sinusoid(nn.Module):
    """Sines and cosines of times (B,) as a layer: (B, channels), see `sinusoidal_embedding`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, t: Tensor) -> Tensor:
        """Embed times (B,)."""
        return sinusoidal_embedding(t, self.channels, last_frequency_included=True)


def pool_queries(weights: Tensor, features: Tensor) -> Tensor:
    """Mean of the features under each mask.

    Summed in float64, as by the authors: it also keeps a sum over all pixels out of half precision.

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


def block_off(masks: Tensor) -> Tensor:
    """Where soft masks (B, Q, h, w) are off: (B, Q, h * w), strictly, since ties are frequent."""
    return masks.flatten(2) < 0.5


class NoisyMaskDecoder(Mask2FormerHead):
    """Mask2Former's head, told about noisy masks and their time (DFormer, arXiv 2306.03437).

    The queries start as the image's features pooled under the noisy masks, which are the first
    attention masks too; every layer's output is scaled and shifted by the time. There is a
    prediction behind each layer and none before the first. The set loss is inherited.

    Args:
        in_channels: Channels of the backbone's maps.
        feat_channels: Width C of the decoder.
        out_channels: Channels of the pixel features.
        num_things_classes: Number of classes whose objects are counted.
        num_stuff_classes: Number of the others, numbered behind the things.
        num_queries: Number Q of slots for a mask.
        pixel_decoder: Config of the pixel decoder; the channels are filled in.
        transformer_decoder: Config of mmdet's ``Mask2FormerTransformerDecoder``.
        positional_encoding: Config of mmdet's ``SinePositionalEncoding``.
        loss_cls: Config of the classification loss; without ``class_weight``, no object weighs 0.1.
        loss_mask: Config of the cross-entropy of the masks.
        loss_dice: Config of the dice loss.
        time_modulation: ``'all'`` modulates behind every layer, as the released code does;
            ``'first'`` behind the first only, as it did shortly before.
        num_transformer_feat_level: Number of maps that are attended to.
        enforce_decoder_input_project: Project them even where their width fits.
        strides: Of the backbone's maps.
        train_cfg: Assigner, sampler and numbers of points, as in mmdet.
        test_cfg: Unused by the head, part of mmdet's interface.
        init_cfg: mmengine's initialisation of a whole module.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        pixel_decoder: dict,
        transformer_decoder: dict,
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        num_queries: int = 100,
        positional_encoding: dict = dict(num_feats=128, normalize=True),
        loss_cls: dict = dict(type='mmdet.CrossEntropyLoss', loss_weight=2.0),
        loss_mask: dict = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
        loss_dice: dict = dict(type='mmdet.DiceLoss', naive_dice=True, eps=1.0, loss_weight=5.0),
        time_modulation: str = 'all',
        num_transformer_feat_level: int = 3,
        enforce_decoder_input_project: bool = False,
        strides: Sequence[int] = (4, 8, 16, 32),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if time_modulation not in TIME_MODULATIONS:
            raise ValueError(
                f'time_modulation must be one of {TIME_MODULATIONS}, got {time_modulation!r}'
            )
        class_weight = [1.0] * (num_things_classes + num_stuff_classes) + [0.1]
        super().__init__(
            in_channels=in_channels,
            feat_channels=feat_channels,
            out_channels=out_channels,
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            num_queries=num_queries,
            num_transformer_feat_level=num_transformer_feat_level,
            pixel_decoder=ConfigDict(pixel_decoder, strides=strides),
            enforce_decoder_input_project=enforce_decoder_input_project,
            transformer_decoder=ConfigDict(transformer_decoder),
            positional_encoding=positional_encoding,
            loss_cls=ConfigDict({'class_weight': class_weight, **loss_cls}),
            loss_mask=loss_mask,
            loss_dice=loss_dice,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        del self.query_feat  # the noisy masks stand in its place
        self.strides = strides
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
        """Draw the decoder's matrices from a uniform distribution; mmdet's is a normal one."""
        super().init_weights()
        for parameter in self.transformer_decoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def prepare(self, x: Sequence[Tensor]) -> ImageContext:
        """Everything that does not depend on the time or the noisy masks.

        Args:
            x: The backbone's maps (B, in_channels[i], H / strides[i], W / strides[i]).
        """
        pixel_features, maps = self.pixel_decoder(x)
        tokens, positions = [], []
        for level, map_ in enumerate(maps):
            projected = self.decoder_input_projs[level](map_).flatten(2).transpose(1, 2)
            tokens.append(projected + self.level_embed.weight[level])  # (B, h * w, C)
            no_padding = map_.new_zeros((1, *map_.shape[2:]), dtype=torch.bool)
            encoding = self.decoder_positional_encoding(no_padding)  # (1, C, h, w)
            positions.append(encoding.flatten(2).transpose(1, 2))
        shapes = [map_.shape[2:] for map_ in maps]
        # constants to the masks of the attention, which no gradient passes
        level_features = [_resize(pixel_features.detach(), shape) for shape in shapes]
        return ImageContext(pixel_features, level_features, tokens, positions, shapes)

    def read(self, soft_masks: Iterable[Tensor], context: ImageContext) -> MaskReading:
        """Resize noisy masks to what the decoder sees of them.

        Args:
            soft_masks: For each image, masks (Q, h, w) in [0, 1] of any size; taken one after the
                other, so that they need not be in memory together.
            context: From :meth:`prepare`.
        """
        sizes = context.pixel_features.shape[2:], context.shapes[0]
        readings = [[_resize(masks[None], size) for size in sizes] for masks in soft_masks]
        weights, small = (torch.cat(maps) for maps in zip(*readings, strict=True))
        return MaskReading(weights, block_off(small))

    def decode(self, reading: MaskReading, t: Tensor, context: ImageContext) -> MaskPrediction:
        """The last layer's prediction.

        Args:
            reading: Of the noisy masks, from :meth:`read`.
            t: Their times (B,), or (1,) for all.
            context: From :meth:`prepare`.
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
        queries = pool_queries(reading.weights, context.pixel_features)
        blocked = reading.blocked
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % self.num_transformer_feat_level
            queries = layer(
                query=queries,
                key=context.tokens[level],
                value=context.tokens[level],
                query_pos=self.query_embed.weight[None],
                key_pos=context.positions[level],
                cross_attn_mask=self._attention_mask(blocked),
            )
            if i == 0 or self.time_modulation == 'all':
                queries = queries * (1 + scale) + shift
            normed = self.transformer_decoder.post_norm(queries)
            yield normed
            if i + 1 < len(self.transformer_decoder.layers):
                features = context.level_features[(i + 1) % self.num_transformer_feat_level]
                with torch.no_grad():
                    blocked = block_off(self._masks(normed, features).sigmoid())

    def _attention_mask(self, blocked: Tensor) -> Tensor:
        """The same for all heads (B * heads, Q, N); what sees nothing at all may see everything."""
        blocked = blocked & ~blocked.all(dim=-1, keepdim=True)
        return blocked.repeat_interleave(self.num_heads, dim=0)

    def _masks(self, normed: Tensor, features: Tensor) -> Tensor:
        """Mask logits (B, Q, h, w) of queries (B, Q, C) on features (B, C, h, w)."""
        return torch.einsum('bqc,bchw->bqhw', self.mask_embed(normed), features)

    def _predict(self, normed: Tensor, context: ImageContext) -> MaskPrediction:
        masks = self._masks(normed, context.pixel_features)
        return MaskPrediction(self.cls_embed(normed).float(), masks.float())


def _resize(masks: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(masks, size=tuple(size), mode='bilinear', align_corners=False)
