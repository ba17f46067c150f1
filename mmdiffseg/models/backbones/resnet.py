"""ResNet: mmseg's network, started from timm's ImageNet weights."""

from mmseg.models.backbones import ResNet as MMSegResNet

from mmdiffseg.models.backbones.timm_weights import load_timm_weights
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class ResNet(MMSegResNet):
    """mmseg's ResNet, with ImageNet weights through timm, whose names are the same.

    Args:
        pretrained: timm name such as ``resnet50.tv_in1k`` (torchvision's first weights), path of a
            file with the same content or of torchvision's, or None for random weights.
        **kwargs: The other arguments of ``mmseg.models.ResNet``.
    """

    def __init__(self, *, pretrained: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.pretrained = pretrained

    def init_weights(self) -> None:
        """Draw random weights, then load the pretrained ones, if any, without the classifier."""
        super().init_weights()
        if self.pretrained is None:
            return
        weights = load_timm_weights(self.pretrained)
        weights = {name: value for name, value in weights.items() if not name.startswith('fc.')}
        # torchvision's oldest files have no counts of batches
        load_exactly(self, weights, source=self.pretrained, fresh=r'.*num_batches_tracked$')
