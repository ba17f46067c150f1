"""DDP's map decoder computed the authors' way, from the weights of ours."""

import torch
from torch import Tensor, nn

from mmdiffseg.models.ddp import DeformableMapDecoder
from mmdiffseg.models.ddp.map_decoder import MapDecoderLayer
from mmdiffseg.models.ddp.positions import reference_points, sine_positions


class ReferenceDecoder(nn.Module):
    """One pass: concatenate, 1x1 convolution, layers on mmcv's deformable attention.

    On a CPU, and on a GPU without compiled operators, mmcv computes the attention by its
    ``multi_scale_deformable_attn_pytorch``. Positions and reference points are kept from call to
    call, which the authors' code does not.

    Args:
        decoder: Gives the weights.
    """

    def __init__(self, decoder: DeformableMapDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.attentions = nn.ModuleList(_mmcv_attention(layer) for layer in decoder.encoder.layers)
        self.constants: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def forward(self, feature: Tensor, z_t: Tensor, time: Tensor) -> Tensor:
        """Refined features (B, C, h, w); arguments as for the decoder's own pass."""
        maps = self.decoder.transform(torch.cat([feature, z_t], dim=1))  # (B, C, h, w)
        shape = maps.shape[-2:]
        if shape not in self.constants:
            self.constants[shape] = (
                sine_positions(*shape, maps.shape[1], maps.device),
                reference_points(*shape, maps.device),
            )
        positions, references = self.constants[shape]
        tokens = maps.flatten(2).transpose(1, 2)  # (B, N, C)
        embedding = self.decoder.time_mlp(time)
        for layer, attention in zip(self.decoder.encoder.layers, self.attentions, strict=True):
            tokens = attention(
                tokens,
                value=tokens,
                identity=tokens,
                query_pos=positions,
                reference_points=references,
                spatial_shapes=torch.tensor([shape], device=maps.device),
                level_start_index=torch.zeros(1, dtype=torch.long, device=maps.device),
            )
            tokens = layer.norms[1](layer.ffns[0](layer.norms[0](tokens)))
            scale, shift = layer.time_mlp(embedding)[:, None].chunk(2, dim=-1)
            tokens = tokens * (scale + 1) + shift
        return tokens.transpose(1, 2).unflatten(2, shape)  # (B, C, h, w)


def _mmcv_attention(layer: MapDecoderLayer) -> nn.Module:
    # importable without compiled operators only after mmdiffseg
    from mmcv.ops import MultiScaleDeformableAttention

    ours = layer.attentions[0]
    attention = MultiScaleDeformableAttention(
        embed_dims=ours.value_proj.in_features,
        num_heads=ours.num_heads,
        num_levels=ours.num_levels,
        num_points=ours.num_points,
        dropout=0.0,
        batch_first=True,
    )
    attention.load_state_dict(ours.state_dict())
    return attention
