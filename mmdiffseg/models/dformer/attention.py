"""Multi-head attention whose keys and values may be made ahead, once for many queries."""

import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import MultiheadAttention
from torch import Tensor, nn


def keys_and_values(
    attention: MultiheadAttention, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Project what is attended to.

    Args:
        attention: mmcv's layer, which owns the parameters.
        key: Input of the keys (B, N, C), positions added.
        value: Input of the values (B, N, C).

    Returns:
        Keys and values of each head, both (B, heads, N, C / heads).
    """
    keys = _project(attention.attn, key, part=1)
    values = _project(attention.attn, value, part=2)
    return keys, values


def attend(
    attention: MultiheadAttention,
    query: Tensor,
    query_pos: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor | None = None,
) -> Tensor:
    """What mmcv's layer computes, without the attention weights that it returns and nobody reads.

    Args:
        attention: mmcv's layer.
        query: (B, Q, C).
        query_pos: Positions of the queries (1, Q, C).
        keys: From :func:`keys_and_values`.
        values: Likewise.
        visible: Which of the N places each query may see (B, Q, N), boolean; all by default.

    Returns:
        The queries with what they found added (B, Q, C).
    """
    layer = attention.attn
    found = F.scaled_dot_product_attention(
        _project(layer, query + query_pos, part=0),
        keys,
        values,
        attn_mask=None if visible is None else visible[:, None],  # the same for all heads
        dropout_p=layer.dropout if layer.training else 0.0,
    )
    found = layer.out_proj(found.transpose(1, 2).flatten(2))  # (B, Q, C)
    return query + attention.dropout_layer(attention.proj_drop(found))


def _project(layer: nn.MultiheadAttention, x: Tensor, *, part: int) -> Tensor:
    """Queries (part 0), keys (1) or values (2) of each head (B, heads, N, C / heads)."""
    weight, bias = layer.in_proj_weight.chunk(3)[part], layer.in_proj_bias.chunk(3)[part]
    return F.linear(x, weight, bias).unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)
