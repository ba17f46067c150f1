"""Any network of timm as a backbone, started from timm's ImageNet weights."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdiffseg.models.backbones.timm_weights import load_timm_weights
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class TimmFeatures(BaseModule):
    """Maps of several scales from a network of timm, without the layers above the coarsest map.

    mmseg's ``TIMMBackbone`` downloads its weights where the model is built; this one loads them
    where mmengine initialises weights, so that a trained checkpoint needs no download.

    Args:
        model: timm's name of the architecture, such as ``tf_efficientnet_lite0``.
        out_indices: Which of timm's maps to return.
        pretrained: timm name of weights, such as ``tf_efficientnet_lite0.in1k``, path of a file
            with the same content, or None for random weights.

    Example:
        >>> backbone = TimmFeatures(model='tf_efficientnet_lite0', out_indices=(0, 1, 2, 3))
        >>> [tuple(map_.shape[1:]) for map_ in backbone(torch.randn(1, 3, 64, 64))]
        [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4)]
    """

    def __init__(
        self, *, model: str, out_indices: Sequence[int], pretrained: str | None = None
    ) -> None:
        super().__init__()
        import timm  # takes a second, and most models do without

        self.network = timm.create_model(
            model, features_only=True, out_indices=tuple(out_indices), pretrained=False
        )
        if isinstance(getattr(self.network, 'blocks', None), nn.Sequential):
            # timm keeps, and runs, the blocks of an EfficientNet above its coarsest map
            used = max(self.network.feature_info.get(key='stage'))
            self.network.blocks = self.network.blocks[:used]
        self.pretrained = pretrained

    def init_weights(self) -> None:
        """Load the pretrained weights, if any; timm has drawn random ones."""
        if self.pretrained is None:
            return
        weights, own = load_timm_weights(self.pretrained), self.network.state_dict()
        weights = {name: value for name, value in weights.items() if name in own}
        load_exactly(self.network, weights, source=self.pretrained)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images (B, 3, H, W) to maps (B, C_i, h_i, w_i), fine to coarse."""
        return tuple(self.network(x))
