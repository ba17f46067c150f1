"""Mask2Former's pixel decoder in float32, without compiled operators."""

import torch
from mmcv.ops import MultiScaleDeformableAttention as MMCVDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder as MMDetPixelDecoder
from torch import Tensor, nn

from mmdiffseg.models.layers.deform_attn import MultiScaleDeformableAttention
from mmdiffseg.registry import MODELS


class EncoderAttention(MultiScaleDeformableAttention):
    """Our attention with the parameters of mmcv's and the signature that mmdet's encoder calls.

    Args:
        replaced: The module of mmcv that it replaces.
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
        """Attend and add to the query; nothing is masked, since a pixel decoder sees no padding."""
        shapes = [(h, w) for h, w in spatial_shapes.tolist()]
        attended = super().forward(query + query_pos, value, reference_points, shapes)
        return query + self.dropout(attended)


@MODELS.register_module()
class MSDeformAttnPixelDecoder(MMDetPixelDecoder):
    """mmdet's pixel decoder, in float32 even under autocast, with the authors' initialisation.

    It takes mmdet's arguments and needs no compiled operator:
    :func:`~mmdiffseg.models.layers.deform_attn.set_deform_attn_impl` chooses the implementation of
    the attention.

    Example:
        >>> pixel_features, maps = pixel_decoder(backbone(images))
        >>> pixel_features.shape, [map_.shape[-1] for map_ in maps]
        (torch.Size([1, 256, 128, 128]), [16, 32, 64])
    """

    def __init__(self, **config) -> None:
        super().__init__(**config)
        for layer in self.encoder.layers:
            layer.self_attn = EncoderAttention(layer.self_attn)

    def init_weights(self) -> None:
        """Draw the encoder's matrices from a uniform distribution, not from mmdet's normal one."""
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
