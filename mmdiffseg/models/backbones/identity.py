"""Backbones that return the image itself, alone or before its features."""

from mmengine.model import BaseModule
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class IdentityBackbone(BaseModule):
    """The image itself as the feature, for denoisers that read it at their input."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the images, in a tuple."""
        return (x,)


@MODELS.register_module()
class ImageAndFeatures(BaseModule):
    """The image itself, then the maps of a backbone, for denoisers that read both.

    Args:
        backbone: Config of the backbone.
    """

    def __init__(self, *, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the images (B, 3, H, W) and their maps (B, C_i, h_i, w_i)."""
        return (x, *self.backbone(x))
