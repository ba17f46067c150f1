"""Low-rank updates of the U-Net's attention, instead of training the whole U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmdiffseg.models.extras import import_extra

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


def add_lora(
    unet: UNet2DConditionModel,
    *,
    r: int = 4,
    alpha: float | None = None,
    targets: Sequence[str] = ('to_q', 'to_k', 'to_v', 'to_out.0'),
) -> None:
    """Freeze the U-Net and add trainable low-rank updates, which start at zero.

    The paper gives only the rank and the layers. The scale and the initialisation are common
    practice.

    Args:
        unet: Changed in place. All its other weights are frozen, new layers included.
        r: Rank.
        alpha: The update is scaled by ``alpha / r``; None means a scale of one.
        targets: Endings of the names of the layers; by default the four maps of each attention.
    """
    if r < 1:
        raise ValueError(f'the rank of LoRA must be at least 1, got r={r}')
    config = import_extra('peft').LoraConfig(
        r=r,
        lora_alpha=r if alpha is None else alpha,
        init_lora_weights='gaussian',
        target_modules=list(targets),
    )
    unet.add_adapter(config)
