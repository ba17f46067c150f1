"""DDP's map decoder for maps whose grid is not that of the feature."""

from collections.abc import Sequence

from torch import Tensor

from mmdiffseg.models.ddp.bev_grid import BEVGridTransform, Scope
from mmdiffseg.models.ddp.map_decoder import DeformableMapDecoder
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class BEVMapDecoder(DeformableMapDecoder):
    """Denoiser of DDP's BEV models, which refines the map on another grid than the feature's.

    Feature and noisy map share the grid of the former. What they are projected to is sampled at the
    cells of the output, and refined there.

    Args:
        input_scope: Grid of feature and noisy map, see :class:`BEVGridTransform`.
        output_scope: Grid of the output.
        feature_channels: Channels of the BEV feature.
        map_channels: Channels of the encoded, noisy map.
        channels: Width C of the decoder.
        num_layers: Number of layers.
        num_heads: Attention heads.
        num_points: Sampled points per head.
        feedforward_ratio: Hidden width of the feed-forward part over C.
        time_modulation: False builds the layers without time, like the released weights.
    """

    def __init__(
        self,
        *,
        input_scope: Sequence[Scope],
        output_scope: Sequence[Scope],
        feature_channels: int,
        map_channels: int,
        channels: int = 256,
        num_layers: int = 5,
        num_heads: int = 8,
        num_points: int = 4,
        feedforward_ratio: int = 4,
        time_modulation: bool = True,
    ) -> None:
        super().__init__(
            feature_channels=feature_channels,
            map_channels=map_channels,
            channels=channels,
            num_layers=num_layers,
            num_heads=num_heads,
            num_points=num_points,
            feedforward_ratio=feedforward_ratio,
            time_modulation=time_modulation,
        )
        self.grid_transform = BEVGridTransform(input_scope=input_scope, output_scope=output_scope)

    def project(
        self, maps: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, tuple[int, int]]:
        """Project maps like :meth:`DeformableMapDecoder.project`, to tokens of the output grid."""
        tokens, shape = super().project(maps, weight, bias)
        # (B, N, C) -> (B, C, h, w) -> (B, C, h', w') -> (B, N', C)
        sampled = self.grid_transform(tokens.transpose(1, 2).unflatten(2, shape))
        return sampled.flatten(2).transpose(1, 2), self.grid_transform.output_cells
