"""ConvNeXt: timm's network with a norm for each of its four outputs."""

from mmengine.model import BaseModule
from torch import Tensor

from mmdiffseg.models.backbones.timm_weights import load_timm_weights
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class ConvNeXt(BaseModule):
    """ConvNeXt as a backbone (https://arxiv.org/abs/2201.03545), every output normalised.

    Args:
        arch: timm's name of the architecture, such as ``convnext_tiny``.
        depths: Blocks of each stage, where not those of ``arch``.
        dims: Channels of each stage, where not those of ``arch``.
        drop_path_rate: Stochastic depth of the last block, growing linearly from 0.
        layer_scale_init_value: Start of the per-channel scale of each block's residual branch.
            Dense prediction is trained from 1.0, ImageNet classification from 1e-6.
        pretrained: timm name with tag, such as ``convnext_tiny.fb_in1k``, path of a file with the
            same content or of the original release, or None for random weights.
    """

    def __init__(
        self,
        *,
        arch: str = 'convnext_tiny',
        depths: tuple[int, int, int, int] | None = None,
        dims: tuple[int, int, int, int] | None = None,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1.0,
        pretrained: str | None = None,
    ) -> None:
        import timm  # takes a second, and most models do without
        from timm.layers import LayerNorm2d

        super().__init__()
        self.pretrained = pretrained
        sizes = {k: v for k, v in dict(depths=depths, dims=dims).items() if v is not None}
        network = timm.create_model(
            arch,
            num_classes=0,
            drop_path_rate=drop_path_rate,
            ls_init_value=layer_scale_init_value,
            **sizes,
        )
        self.stem = network.stem
        self.stages = network.stages
        for i, info in enumerate(network.feature_info):
            self.add_module(f'norm{i}', LayerNorm2d(info['num_chs'], eps=1e-6))

    def init_weights(self) -> None:
        """Load the pretrained weights, if any; timm has drawn random ones already.

        The norm before the classifier becomes that of the last output, the others start fresh.
        """
        if self.pretrained is None:
            return
        from timm.models.convnext import checkpoint_filter_fn

        weights = checkpoint_filter_fn(load_timm_weights(self.pretrained), self)
        weights = {
            name.replace('head.norm.', 'norm3.'): value
            for name, value in weights.items()
            if not name.startswith('head.') or name.startswith('head.norm.')
        }
        load_exactly(self, weights, source=self.pretrained, fresh=r'norm[012]\.')

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images (B, 3, H, W) into four maps (B, dims[i], H / 2^(i+2), W / 2^(i+2))."""
        x = self.stem(x)
        outputs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            outputs.append(getattr(self, f'norm{i}')(x))
        return tuple(outputs)
