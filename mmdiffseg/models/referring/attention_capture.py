"""Cross-attention maps of one token, captured while a U-Net runs.

The layers and their attention processors are not changed: a hook reads the inputs of the captured
layers and computes the maps a second time, so that all attention still runs fused (SDPA).
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

ATTN_TYPES = ('logits', 'softmax')


class _Enough(Exception):
    """Stops the U-Net after the last map that is needed."""


def cross_attention_layers(unet: nn.Module, stride: int) -> dict[str, nn.Module]:
    """Find the cross-attention layers of one resolution, in the order in which they run.

    Args:
        unet: A ``UNet2DConditionModel``.
        stride: Stride of the layers' queries on the latent grid, a power of two.

    Returns:
        The layers by name.

    Raises:
        ValueError: No layer has this stride.
    """
    levels = len(unet.config.down_block_types)
    level = math.log2(stride)
    blocks = []
    if level in range(levels):
        level = int(level)
        # down blocks halve the grid at their end, up blocks double it
        blocks = [f'down_blocks.{level}.', f'up_blocks.{levels - 1 - level}.']
        if level == levels - 1:
            blocks.insert(1, 'mid_block.')
    layers = {
        name: module
        for block in blocks
        for name, module in unet.named_modules()
        if name.startswith(block) and name.endswith('.attn2')
    }
    if not layers:
        raise ValueError(
            f'the U-Net has no cross-attention at {stride} times the stride of the latents: '
            f'its blocks are {", ".join(unet.config.down_block_types)}, each at twice the stride '
            f'of the one before'
        )
    return layers


def token_attention(
    attn: nn.Module, hidden: Tensor, context: Tensor, tokens: Tensor, *, attn_type: str
) -> Tensor:
    """Attention of every pixel to one token, averaged over the heads, in float32.

    Args:
        attn: A cross-attention layer of diffusers.
        hidden: Input of the layer (B, N, C).
        context: Encoded texts (B, L, D).
        tokens: Position of the token in each text (B,).
        attn_type: ``'logits'``, q k / sqrt(d) (released), or ``'softmax'``, the softmax of the
            logits over all tokens (paper).

    Returns:
        (B, N).
    """
    rows = torch.arange(len(tokens), device=tokens.device)
    query = attn.to_q(hidden)  # (B, N, heads d)
    if attn_type == 'logits':
        key = attn.to_k(context[rows, tokens])  # (B, heads d), of this token alone
        with torch.autocast(hidden.device.type, enabled=False):
            # summed over the heads, their products are the product of the undivided vectors
            products = torch.einsum('bnc,bc->bn', query.float(), key.float())
        return products * attn.scale / attn.heads
    key = attn.to_k(context)  # (B, L, heads d)
    with torch.autocast(hidden.device.type, enabled=False):
        query = query.float().unflatten(2, (attn.heads, -1)).transpose(1, 2)  # (B, heads, N, d)
        key = key.float().unflatten(2, (attn.heads, -1)).permute(0, 2, 3, 1)  # (B, heads, d, L)
        probs = (query @ key * attn.scale).softmax(dim=-1)  # (B, heads, N, L)
    return probs[rows, :, :, tokens].mean(dim=1)


@contextmanager
def capture_attention(
    layers: Sequence[nn.Module], tokens: Tensor, *, attn_type: str, enough: int
) -> Iterator[list[Tensor]]:
    """Capture the maps of cross-attention layers as they run; see :func:`token_attention`.

    Args:
        layers: Layers to capture.
        tokens: Position of the token in each text of the batch (B,).
        attn_type: ``'logits'`` or ``'softmax'``.
        enough: Number of maps after which the ``with`` block ends at once, so that the U-Net
            computes nothing that is not needed.

    Yields:
        The list that the maps (B, N) are appended to, in the order in which the layers run.
    """
    maps = []

    def capture(attn: nn.Module, args: tuple, kwargs: dict) -> None:
        context = kwargs['encoder_hidden_states']
        maps.append(token_attention(attn, args[0], context, tokens, attn_type=attn_type))
        if len(maps) == enough:
            raise _Enough

    hooks = [layer.register_forward_pre_hook(capture, with_kwargs=True) for layer in layers]
    try:
        with suppress(_Enough):
            yield maps
    finally:
        for hook in hooks:
            hook.remove()
