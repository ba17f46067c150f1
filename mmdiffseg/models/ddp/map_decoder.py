"""DDP's map decoder: deformable attention over the noisy map and the image, modulated by time."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from mmdiffseg.models.ddp.positions import reference_points, sine_positions
from mmdiffseg.models.layers.deform_attn import MultiScaleDeformableAttention
from mmdiffseg.models.layers.time_embedding import time_mlp
from mmdiffseg.registry import MODELS


class MapDecoderLayer(BaseModule):
    """Self-attention, norm, feed-forward, norm, then a scale and shift by the time embedding.

    Not mmcv's stock transformer layer: its ``**kwargs`` swallow the time embedding, which left the
    authors' depth and BEV models without one.

    Args:
        channels: Width C of the tokens.
        num_heads: Attention heads.
        num_points: Sampled points per head.
        feedforward_channels: Hidden width of the feed-forward part.
        time_channels: Width of the time embedding; None builds the layer without modulation.
    """

    def __init__(
        self,
        *,
        channels: int,
        num_heads: int,
        num_points: int,
        feedforward_channels: int,
        time_channels: int | None,
    ) -> None:
        super().__init__()
        attention = MultiScaleDeformableAttention(
            embed_dims=channels, num_heads=num_heads, num_levels=1, num_points=num_points
        )
        self.attentions = ModuleList([attention])
        self.ffns = ModuleList([FFN(channels, feedforward_channels, act_cfg=dict(type='GELU'))])
        self.norms = ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.time_mlp = None
        if time_channels is not None:
            self.time_mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, 2 * channels))

    def forward(
        self,
        tokens: Tensor,
        *,
        positions: Tensor,
        references: Tensor,
        shape: tuple[int, int],
        time: Tensor,
    ) -> Tensor:
        """Refine tokens (B, N, C).

        Args:
            tokens: Map tokens (B, N, C), row by row.
            positions: Their sine encoding (1, N, C), seen by the queries only.
            references: Their centres (1, N, 1, 2) in [0, 1].
            shape: Height and width of the map, h * w = N.
            time: Time embedding (B or 1, time_channels).
        """
        attended = self.attentions[0](tokens + positions, tokens, references, [shape])
        tokens = self.norms[0](tokens + attended)
        tokens = self.norms[1](self._feed_forward(tokens))
        if self.time_mlp is None:
            return tokens
        scale, shift = self.time_mlp(time)[:, None].chunk(2, dim=-1)  # (B or 1, 1, C) each
        return tokens * (scale + 1) + shift

    def _feed_forward(self, tokens: Tensor) -> Tensor:
        if tokens.is_cuda or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.ffns[0](tokens)
        # On a CPU the fresh hidden buffer, 4 N C floats, costs as much in page faults as the
        # arithmetic does; a few thousand rows at a time fit into memory that is used again.
        parts = [self.ffns[0](rows) for rows in tokens.flatten(0, 1).split(4096)]
        return torch.cat(parts).view_as(tokens)  # (B * N, C) -> (B, N, C)


class MapContext(NamedTuple):
    """What the decoder needs of an image at every step, computed once.

    Attributes:
        image: The image's half of the input projection, bias included (B, N, C).
        positions: Sine encoding (1, N, C).
        references: Centres of the cells (1, N, 1, 2).
        shape: Height and width of the map.
    """

    image: Tensor
    positions: Tensor
    references: Tensor
    shape: tuple[int, int]


@MODELS.register_module()
class DeformableMapDecoder(BaseModule):
    """Denoiser of DDP: from image feature, noisy map and time to refined features.

    Args:
        feature_channels: Channels of the image feature.
        map_channels: Channels of the encoded, noisy map.
        channels: Width C of the decoder.
        num_layers: Number of layers (6; 5 in the BEV models).
        num_heads: Attention heads.
        num_points: Sampled points per head.
        feedforward_ratio: Hidden width of the feed-forward part over C.
        time_modulation: False builds the layers without time, as the authors' depth and BEV code
            did without meaning to.

    Example:
        >>> decoder = DeformableMapDecoder(feature_channels=256, map_channels=256)
        >>> context = decoder.prepare(torch.randn(2, 256, 64, 64))  # once for all steps
        >>> decoder(torch.randn(2, 256, 64, 64), torch.zeros(2), context).shape
        torch.Size([2, 256, 64, 64])
    """

    def __init__(
        self,
        *,
        feature_channels: int,
        map_channels: int,
        channels: int = 256,
        num_layers: int = 6,
        num_heads: int = 8,
        num_points: int = 4,
        feedforward_ratio: int = 4,
        time_modulation: bool = True,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f'num_layers must be at least 1, got {num_layers}')
        self.feature_channels = feature_channels
        self.transform = ConvModule(feature_channels + map_channels, channels, 1, act_cfg=None)
        self.time_mlp = time_mlp(4 * channels)
        self.encoder = BaseModule()
        self.encoder.layers = ModuleList(
            MapDecoderLayer(
                channels=channels,
                num_heads=num_heads,
                num_points=num_points,
                feedforward_channels=feedforward_ratio * channels,
                time_channels=4 * channels if time_modulation else None,
            )
            for _ in range(num_layers)
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier-uniform matrices in the layers, then the directional grid of the offsets."""
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in self.encoder.layers:
            layer.attentions[0].init_weights()

    def prepare(self, feature: Tensor) -> MapContext:
        """Everything that does not depend on the time or the noisy map.

        The input projection of the reference is linear in the concatenation of image feature and
        noisy map, so the image's share of it is one term that every step adds.

        Args:
            feature: Image feature (B, feature_channels, h, w).
        """
        weight = self.transform.conv.weight[:, : self.feature_channels, 0, 0]
        image, (h, w) = self.project(feature, weight, self.transform.conv.bias)
        return MapContext(
            image=image,
            positions=sine_positions(h, w, len(weight), feature.device).to(feature.dtype),
            references=reference_points(h, w, feature.device),
            shape=(h, w),
        )

    def project(
        self, maps: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, tuple[int, int]]:
        """Project maps (B, K, h, w) by (C, K) weights: tokens (B, N, C) of a map, and its shape."""
        tokens = F.linear(maps.flatten(2).transpose(1, 2), weight, bias)
        return tokens, tuple(maps.shape[2:])

    def forward(self, z_t: Tensor, time: Tensor, context: MapContext) -> Tensor:
        """Denoise one step.

        Args:
            z_t: Noisy maps (G * B, map_channels, h, w), all B images once per generation.
            time: Log-SNR of each map (G * B,), or (1,) for all.
            context: From :meth:`prepare`, for B images.

        Returns:
            Refined features (G * B, channels, h, w).
        """
        weight = self.transform.conv.weight[:, self.feature_channels :, 0, 0]
        tokens, _ = self.project(z_t.to(context.image.dtype), weight)
        tokens = tokens.unflatten(0, (-1, len(context.image)))  # (G, B, N, C)
        tokens = (tokens + context.image).flatten(0, 1)  # (G * B, N, C)
        embedding = self.time_mlp(time)
        for layer in self.encoder.layers:
            tokens = layer(
                tokens,
                positions=context.positions,
                references=context.references,
                shape=context.shape,
                time=embedding,
            )
        return tokens.transpose(1, 2).unflatten(2, context.shape)  # (G * B, C, h, w)
