"""Several binary masks at once as one signal."""

import math

import torch
from torch import Tensor, nn

from mmdiffseg.registry import LABEL_ENCODERS


@LABEL_ENCODERS.register_module()
class MultiLabelEncoder(nn.Module):
    """A mask per class, any of which may overlap, as one learned vector per cell (DDP's BEV maps).

    Class k stands for row k + 1 of a table where its mask is set and for row 0 elsewhere. The mean
    over the classes is squashed to the range: (2 sigmoid(mean) - 1) scale. The table is trained by
    the task loss alone, through the noisy map.

    Args:
        num_classes: Number K of classes.
        channels: Length C of the vectors.
        scale: Half-width of the signal's range. Diffusion adds noise of unit variance, so a smaller
            scale makes every time step harder.

    Example:
        >>> encoder = MultiLabelEncoder(num_classes=6, channels=256)
        >>> encoder.encode(torch.ones(1, 6, 32, 32)).shape
        torch.Size([1, 256, 32, 32])
    """

    def __init__(self, *, num_classes: int, channels: int = 256, scale: float = 0.01) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        self.num_classes = num_classes
        self.channels = channels
        self.scale = scale
        self.embedding_table = nn.Embedding(num_classes + 1, channels)

    def encode(self, masks: Tensor) -> Tensor:
        """Encode masks (B, K, h, w) of zeros and ones to x0 (B, C, h, w)."""
        absent, present = self.embedding_table.weight.split([1, self.num_classes])
        cells = masks.permute(0, 2, 3, 1).float()  # (B, h, w, K)
        # A product with the differences to row 0 sums the rows, without looking up K of them a cell
        with torch.autocast(masks.device.type, enabled=False):
            mean = absent[0] + cells @ (present - absent) / self.num_classes  # (B, h, w, C)
            x0 = (2 * mean.sigmoid() - 1) * self.scale
        # a view: the denoiser wants the map channels-last anyway
        return x0.permute(0, 3, 1, 2)

    def encode_output(self, output: Tensor) -> Tensor:
        """Encode the classes above 1/2 of an output, logits (B, K, h, w), to x0 (B, C, h, w)."""
        return self.encode(output.sigmoid() > 0.5)

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'num_classes={self.num_classes}, channels={self.channels}, scale={self.scale}'
