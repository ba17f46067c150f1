"""Label encoders: integer label maps to signals in [-scale, scale], and back from logits."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdiffseg.registry import LABEL_ENCODERS


class LabelEncoder(nn.Module):
    """Common ground: pixels to be ignored are encoded as one more class, number ``num_classes``.

    Args:
        num_classes: Number K of classes.
        ignore_index: Label of the pixels without a class.
        scale: Half-width of the signal's range. Diffusion adds noise of unit variance, so a smaller
            scale makes every time step harder.
    """

    #: number C of channels of the encoded map
    channels: int
    #: whether the codes are trained, with a width of one's choice
    learned = False

    def __init__(self, *, num_classes: int, ignore_index: int = 255, scale: float = 0.1) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.scale = scale

    def codebook(self) -> Tensor:
        """The code of every class, the last row for ignored pixels: (K + 1, C)."""
        raise NotImplementedError

    def encode(self, labels: Tensor) -> Tensor:
        """Encode labels (B, h, w) in [0, K) or ``ignore_index`` to x0 (B, C, h, w)."""
        labels = labels.masked_fill(labels == self.ignore_index, self.num_classes)
        # (B, h, w, C) -> (B, C, h, w) as a view: the denoiser wants the map channels-last anyway
        return F.embedding(labels, self.codebook()).permute(0, 3, 1, 2)

    def encode_output(self, logits: Tensor) -> Tensor:
        """Encode the most likely class of logits (B, K, h, w) to x0 (B, C, h, w)."""
        return self.encode(logits.argmax(dim=1))

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'num_classes={self.num_classes}, channels={self.channels}, scale={self.scale}'


@LABEL_ENCODERS.register_module()
class OneHotEncoder(LabelEncoder):
    """One channel per class, +scale where it is and -scale elsewhere; all -scale where ignored."""

    def __init__(self, *, num_classes: int, ignore_index: int = 255, scale: float = 0.1) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, scale=scale)
        self.channels = num_classes
        codes = (2 * torch.eye(num_classes + 1, num_classes) - 1) * scale
        self.register_buffer('codes', codes, persistent=False)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`."""
        return self.codes


@LABEL_ENCODERS.register_module()
class BinaryMaskEncoder(LabelEncoder):
    """Two classes in one channel: foreground +scale, background -scale, ignored pixels 0."""

    channels = 1

    def __init__(
        self, *, num_classes: int = 2, ignore_index: int = 255, scale: float = 1.0
    ) -> None:
        if num_classes != 2:
            raise ValueError(
                f'a binary mask has 2 classes, background and foreground, got {num_classes}: '
                "encode more as dict(type='OneHotEncoder', scale=1.0)"
            )
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, scale=scale)
        codes = torch.tensor([[-scale], [scale], [0.0]])
        self.register_buffer('codes', codes, persistent=False)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`."""
        return self.codes


@LABEL_ENCODERS.register_module()
class AnalogBitsEncoder(LabelEncoder):
    """The label's binary digits as +-scale, most significant first (Chen et al. 2023)."""

    def __init__(self, *, num_classes: int, ignore_index: int = 255, scale: float = 0.1) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, scale=scale)
        self.channels = math.ceil(math.log2(num_classes + 1))
        places = torch.arange(self.channels - 1, -1, -1)
        bits = (torch.arange(num_classes + 1)[:, None] >> places) & 1  # (K + 1, C)
        self.register_buffer('codes', (2.0 * bits - 1) * scale, persistent=False)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`."""
        return self.codes


@LABEL_ENCODERS.register_module()
class ClassEmbeddingEncoder(LabelEncoder):
    """A learned vector per class, squashed to the range: (2 sigmoid(E) - 1) scale. DDP's default.

    The table is trained by the task loss alone, through the noisy map.

    Args:
        num_classes: Number K of classes.
        channels: Length C of the vectors.
        ignore_index: Label of the pixels without a class.
        scale: Half-width of the signal's range.
    """

    learned = True

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int = 256,
        ignore_index: int = 255,
        scale: float = 0.01,
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, scale=scale)
        self.channels = channels
        self.embedding_table = nn.Embedding(num_classes + 1, channels)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`; squashed once per class rather than once per pixel."""
        return (2 * self.embedding_table.weight.sigmoid() - 1) * self.scale
