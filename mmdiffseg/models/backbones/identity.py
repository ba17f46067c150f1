"""A backbone that returns the image itself."""

from mmengine.model import BaseModule
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class IdentityBackbone(BaseModule):
    """The image itself as the feature, for denoisers that read it at their input."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the images, in a tuple."""
        return (x,)
