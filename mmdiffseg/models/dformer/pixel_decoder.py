"""Mask2Former's pixel decoder as its authors and DFormer's run it, nothing compiled."""

import torch
from mmcv.ops import MultiScaleDeformableAttention as MMCVDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder as MMDetPixelDecoder
from torch import Tensor, nn

from mmdiffseg.models.layers.deform_attn import MultiScaleDeformableAttention
from mmdiffseg.registry import MODELS


class EncoderAttention(MultiScaleDeformableAttention):
    """Ours in the place of mmcv's: the same parameters, called the way mmdet's encoder calls.

    Args:
        replaced: The module whose place it takes.
    """

    def __init__(self, replaced: MMCVDeformableAttention) -> None:
        super().__init__(
            embed_dims=replaced.embed_dims,
            num_heads=replaced.num_heads,
            num_levels=replaced.num_levels,
            num_points=replaced.num_points,
        )
        self.dropout = replaced.dropout

    def forward(
        self,
        query: Tensor,
        *,
        key: Tensor,
        value: Tensor,
        query_pos: Tensor,
        key_pos: Tensor,
        key_padding_mask: Tensor,
        reference_points: Tensor,
        spatial_shapes: Tensor,
        level_start_index: Tensor,
        valid_ratios: Tensor,
    ) -> Tensor:
        """Attend and add; a pixel decoder has no padding, so nothing is masked."""
        shapes = [(h, w) for h, w in spatial_shapes.tolist()]
        attended = super().forward(query + query_pos, value, reference_points, shapes)
        return query + self.dropout(attended)


@MODELS.register_module()
class MSDeformAttnPixelDecoder(MMDetPixelDecoder):
    """mmdet's pixel decoder, in float32 under autocast and initialised as by its authors.

    Takes mmdet's arguments. Needs no compiled operator; the implementation of the attention is
    chosen by :func:`~mmdiffseg.models.layers.deform_attn.set_deform_attn_impl`.
    """

    def __init__(self, **config) -> None:
        super().__init__(**config)
        for layer in self.encoder.layers:
            layer.self_attn = EncoderAttention(layer.self_attn)

    def init_weights(self) -> None:
        """Draw the encoder's matrices from a uniform distribution; mmdet's is a normal one."""
        super().init_weights()
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in self.encoder.layers:
            layer.self_attn.init_weights()

    def forward(self, feats: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Refine the backbone's maps.

        Args:
            feats: Maps (B, C_i, h_i, w_i), from high resolution to low.

        Returns:
            The pixel features (B, out_channels, h_0, w_0), and ``num_outs`` maps
            (B, feat_channels, h, w) from low resolution to high; all float32.
        """
        with torch.autocast(feats[0].device.type, enabled=False):
            return super().forward([feat.float() for feat in feats])
