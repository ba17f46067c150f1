"""ResNet: mmseg's network, started from timm's ImageNet weights."""

import torch
import torch.nn.functional as F
from mmseg.models.backbones import ResNet as MMSegResNet
from torch import Tensor, nn

from mmdiffseg.models.backbones.timm_weights import load_timm_weights
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class OneDNNConv2d(nn.Conv2d):
    """A convolution that a single CPU thread computes by oneDNN too, at test time.

    With one thread torch leaves 1 x 1 filters to a plain matrix product ("slow_conv2d" in a
    profile), unless they are strided or dilated. A dilation moves nothing in a filter of one pixel,
    so that it may be claimed.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.training or input.device.type != 'cpu' or self.kernel_size != (1, 1):
            return super()._conv_forward(input, weight, bias)
        return F.conv2d(input, weight, bias, self.stride, self.padding, 2, self.groups)


@MODELS.register_module()
class ResNet(MMSegResNet):
    """mmseg's ResNet, with ImageNet weights through timm, whose names are the same.

    At test time a CPU computes it in the channels-last layout, which is faster there.

    Args:
        pretrained: timm name such as ``resnet50.tv_in1k`` (torchvision's first weights), path of a
            file with the same content or of torchvision's, or None for random weights.
        conv_cfg: Config of the convolutions.
        **kwargs: The other arguments of ``mmseg.models.ResNet``.
    """

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        conv_cfg: dict | None = dict(type='mmdiffseg.OneDNNConv2d'),
        **kwargs,
    ) -> None:
        super().__init__(conv_cfg=conv_cfg, **kwargs)
        self.pretrained = pretrained

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images (B, 3, H, W) to the maps of the stages ``out_indices``."""
        if self.training or x.device.type != 'cpu':
            return super().forward(x)
        maps = super().forward(x.contiguous(memory_format=torch.channels_last))
        return tuple(map_.contiguous() for map_ in maps)

    def init_weights(self) -> None:
        """Draw random weights, then load the pretrained ones, if any, without the classifier."""
        super().init_weights()
        if self.pretrained is None:
            return
        weights = load_timm_weights(self.pretrained)
        weights = {name: value for name, value in weights.items() if not name.startswith('fc.')}
        # torchvision's oldest files have no counts of batches
        load_exactly(self, weights, source=self.pretrained, fresh=r'.*num_batches_tracked$')
