"""Keys of a frozen vision transformer as features of an image."""

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmdiffseg.models.backbones.timm_weights import load_timm_weights
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class AttentionKeys(BaseModule):
    """Keys of the final self-attention of a vision transformer of timm, which is not trained.

    CCDM on Cityscapes reads those of DINO's ViT-S/8 (Caron et al., 2021). Number d of the key of
    head i is channel d * heads + i, as there. The embeddings of the positions are resized as timm
    does it.

    Args:
        model: timm's name of the architecture.
        pretrained: timm name of weights, such as ``vit_small_patch8_224.dino``, path of a file with
            the same content, or None for random weights.

    Example:
        >>> backbone = AttentionKeys(model='vit_small_patch8_224')
        >>> backbone(torch.randn(1, 3, 64, 96))[0].shape
        torch.Size([1, 384, 8, 12])
    """

    def __init__(self, *, model: str, pretrained: str | None = None) -> None:
        super().__init__()
        import timm  # takes a second, and most models do without

        self.network = timm.create_model(
            model, pretrained=False, num_classes=0, dynamic_img_size=True
        )
        self.network.requires_grad_(False)
        self.pretrained = pretrained
        self.train()

    def init_weights(self) -> None:
        """Load the pretrained weights, if any; timm has drawn random ones."""
        if self.pretrained is not None:
            weights = load_timm_weights(self.pretrained)
            load_exactly(self.network, weights, source=self.pretrained)

    def train(self, mode: bool = True) -> 'AttentionKeys':
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The keys (B, C, h, w) of images (B, 3, H, W) whose patches are h x w."""
        attention, size = self.network.blocks[-1].attn, self.network.patch_embed.dynamic_feat_size
        seen = []
        hook = attention.qkv.register_forward_hook(lambda *call: seen.append(call[-1]))
        try:
            self.network.forward_features(x)
        finally:
            hook.remove()
        _, keys, _ = seen[0].chunk(3, dim=-1)  # (B, N, heads * dim)
        keys = keys[:, self.network.num_prefix_tokens :].unflatten(2, (attention.num_heads, -1))
        # (B, h w, heads, dim) -> (B, dim heads, h, w)
        return (keys.permute(0, 3, 2, 1).flatten(1, 2).unflatten(2, size(x.shape[-2:])),)
