"""Linear maps from the width of the prompt tokens to the width of the U-Net's cross-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


def add_shared_adapter(unet: UNet2DConditionModel, channels: int) -> None:
    """Put one linear map in front of all cross-attention (the released code).

    The map is made here because ``from_pretrained`` leaves layers without weights uninitialised
    (diffusers >= 0.33).

    Args:
        unet: Gets the map as ``encoder_hid_proj``, unless it has one already.
        channels: Width of the prompt tokens.
    """
    if unet.encoder_hid_proj is None:
        unet.encoder_hid_proj = nn.Linear(channels, unet.config.cross_attention_dim)
        unet.register_to_config(encoder_hid_dim=channels, encoder_hid_dim_type='text_proj')
    if unet.config.encoder_hid_dim != channels:
        raise ValueError(
            f'the U-Net has an adapter for prompt tokens of width {unet.config.encoder_hid_dim}, '
            f'but the prompt encoder makes them {channels} wide: give the encoder that the U-Net '
            'was trained with'
        )


def add_layer_adapters(unet: UNet2DConditionModel, channels: int) -> nn.ModuleList:
    """Put a linear map in front of each cross-attention layer (the first version of the paper).

    Args:
        unet: Its layers get hooks; its names and weights do not change.
        channels: Width of the prompt tokens.

    Returns:
        The maps, in the order of :func:`cross_attention_layers`.
    """
    if unet.encoder_hid_proj is not None:
        raise ValueError(
            "the U-Net already has a shared adapter: set adapter='shared', or give a plain U-Net"
        )
    adapters = nn.ModuleList()
    for attention in cross_attention_layers(unet).values():
        adapter = LayerAdapter(channels, attention.cross_attention_dim)
        attention.register_forward_pre_hook(adapter.adapt_context, with_kwargs=True)
        adapters.append(adapter)
    return adapters


def cross_attention_layers(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    """Cross-attention layers by name, in the order of their definition, the middle block last."""
    return {name: layer for name, layer in unet.named_modules() if name.endswith('.attn2')}


class LayerAdapter(nn.Linear):
    """Linear map for the tokens of one cross-attention layer."""

    # A bound method, so that the hooks of a copied model (EMA) use the copied maps.
    def adapt_context(self, layer: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Forward pre-hook of the layer."""
        context = self(kwargs['encoder_hidden_states'])
        return args, {**kwargs, 'encoder_hidden_states': context}
