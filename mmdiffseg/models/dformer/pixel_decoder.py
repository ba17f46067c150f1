"""Mask2Former's pixel decoder in float32, without compiled operators."""

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention as MMCVDeformableAttention
from mmdet.models.layers import MSDeformAttnPixelDecoder as MMDetPixelDecoder
from torch import Tensor, nn

from mmdiffseg.models.layers.deform_attn import MultiScaleDeformableAttention, SpatialShapes
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
        key_padding_mask: None,
        reference_points: Tensor,
        spatial_shapes: SpatialShapes,
        level_start_index: None,
        valid_ratios: None,
    ) -> Tensor:
        """Attend and add to the query; nothing is masked, since a pixel decoder sees no padding."""
        attended = super().forward(query + query_pos, value, reference_points, spatial_shapes)
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
            return self._refine([feat.float() for feat in feats])

    def _refine(self, feats: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        # what mmdet's computes, with sizes that are numbers instead of tensors: nobody has to wait
        # for a GPU, and a graph can be made of it
        attended = feats[::-1][: self.num_encoder_levels]
        shapes = [tuple(feat.shape[2:]) for feat in attended]
        tokens = [conv(x).flatten(2) for conv, x in zip(self.input_convs, attended, strict=True)]
        positions, points = [], []
        for number, (h, w) in enumerate(shapes):
            no_padding = feats[0].new_zeros((1, h, w), dtype=torch.bool)
            level = self.level_encoding.weight[number].view(1, -1, 1, 1)
            positions.append((level + self.postional_encoding(no_padding)).flatten(2))
            points.append(self._reference_points(number, h, w, feats[0].device))
        points = torch.cat(points)[None, :, None]  # (1, N, 1, 2)
        memory = self.encoder(
            query=torch.cat(tokens, dim=2).transpose(1, 2),  # (B, N, C)
            query_pos=torch.cat(positions, dim=2).transpose(1, 2),
            key_padding_mask=None,
            spatial_shapes=shapes,
            reference_points=points.repeat(1, 1, self.num_encoder_levels, 1),
            level_start_index=None,
            valid_ratios=None,
        )
        levels = memory.transpose(1, 2).split([h * w for h, w in shapes], dim=2)
        maps = [level.unflatten(2, shape) for level, shape in zip(levels, shapes, strict=True)]
        for i in reversed(range(self.num_input_levels - self.num_encoder_levels)):
            size = feats[i].shape[2:]
            above = F.interpolate(maps[-1], size=size, mode='bilinear', align_corners=False)
            maps.append(self.output_convs[i](self.lateral_convs[i](feats[i]) + above))
        return self.mask_feature(maps[-1]), maps[: self.num_outs]

    def _reference_points(self, number: int, h: int, w: int, device: torch.device) -> Tensor:
        """Where the pixels of a level lie in the image (h * w, 2), as (x, y) in [0, 1]."""
        level = self.num_input_levels - number - 1
        points = self.point_generator.single_level_grid_priors((h, w), level, device=device)
        x, y = points.unbind(dim=1)
        return torch.stack([x / (w * self.strides[level]), y / (h * self.strides[level])], dim=1)
