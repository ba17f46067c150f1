"""Label encoders: integer label maps to signals in [-scale, scale], and back from logits."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdiffseg.registry import LABEL_ENCODERS

REENCODINGS = ('argmax', 'soft', 'draw')


class LabelEncoder(nn.Module):
    """Common ground: pixels to be ignored are encoded as one more class, number ``num_classes``.

    Args:
        num_classes: Number K of classes.
        ignore_index: Label of the pixels without a class.
        scale: Half-width of the signal's range. Diffusion adds noise of unit variance, so a smaller
            scale makes every time step harder.
        reencode: What :meth:`encode_output` makes of logits between the steps of a chain:
            ``argmax`` the code of the most likely class (as released), ``soft`` the expected code
            under their softmax, ``draw`` the code of a class drawn from it, see
            :meth:`Sampler.walk`.
    """

    #: number C of channels of the encoded map
    channels: int
    #: whether the codes are trained, with a width of one's choice
    learned = False

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int = 255,
        scale: float = 0.1,
        reencode: str = 'argmax',
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        if reencode not in REENCODINGS:
            raise ValueError(f'reencode must be one of {REENCODINGS}, got {reencode!r}')
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.scale = scale
        self.reencode = reencode

    def codebook(self) -> Tensor:
        """The code of every class, the last row for ignored pixels: (K + 1, C)."""
        raise NotImplementedError

    def encode(self, labels: Tensor) -> Tensor:
        """Encode labels (B, h, w) in [0, K) or ``ignore_index`` to x0 (B, C, h, w)."""
        labels = labels.masked_fill(labels == self.ignore_index, self.num_classes)
        # (B, h, w, C) -> (B, C, h, w) as a view: the denoiser wants the map channels-last anyway
        return F.embedding(labels, self.codebook()).permute(0, 3, 1, 2)

    def encode_output(self, logits: Tensor) -> Tensor:
        """Encode logits (B, K, h, w) to x0 (B, C, h, w), see ``reencode``.

        For a draw they come with Gumbel noise added, so that their argmax has the probabilities of
        the softmax.
        """
        if self.reencode != 'soft':
            return self.encode(logits.argmax(dim=1))
        return self.encode_probs(logits.softmax(dim=1))

    def encode_probs(self, probs: Tensor) -> Tensor:
        """The expected code (B, C, h, w) under class probabilities (B, K, h, w)."""
        probs = probs.permute(0, 2, 3, 1)  # (B, h, w, K)
        with torch.autocast(probs.device.type, enabled=False):
            x0 = probs @ self.codebook()[: self.num_classes].to(probs)  # (B, h, w, C)
        return x0.permute(0, 3, 1, 2)  # as a view, see encode

    def decode(self, x0: Tensor) -> Tensor:
        """The labels (B, h, w) whose codes lie nearest to maps x0 (B, C, h, w)."""
        codes = self.codebook()[: self.num_classes].to(x0)  # (K, C)
        # |x0 - c|^2 = |x0|^2 - 2 (x0 . c - |c|^2 / 2)
        nearness = torch.einsum('bchw,kc->bkhw', x0, codes)
        nearness = nearness - codes.square().sum(dim=1)[:, None, None] / 2
        return nearness.argmax(dim=1)

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return (
            f'num_classes={self.num_classes}, channels={self.channels}, scale={self.scale}, '
            f'reencode={self.reencode!r}'
        )


@LABEL_ENCODERS.register_module()
class OneHotEncoder(LabelEncoder):
    """One channel per class, +scale where it is and -scale elsewhere; all -scale where ignored."""

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int = 255,
        scale: float = 0.1,
        reencode: str = 'argmax',
    ) -> None:
        super().__init__(
            num_classes=num_classes, ignore_index=ignore_index, scale=scale, reencode=reencode
        )
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
        self,
        *,
        num_classes: int = 2,
        ignore_index: int = 255,
        scale: float = 1.0,
        reencode: str = 'argmax',
    ) -> None:
        if num_classes != 2:
            raise ValueError(
                f'a binary mask has 2 classes, background and foreground, got {num_classes}: '
                "encode more as dict(type='OneHotEncoder', scale=1.0)"
            )
        super().__init__(
            num_classes=num_classes, ignore_index=ignore_index, scale=scale, reencode=reencode
        )
        codes = torch.tensor([[-scale], [scale], [0.0]])
        self.register_buffer('codes', codes, persistent=False)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`."""
        return self.codes


@LABEL_ENCODERS.register_module()
class AnalogBitsEncoder(LabelEncoder):
    """The label's binary digits as +-scale, most significant first (Chen et al. 2023)."""

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int = 255,
        scale: float = 0.1,
        reencode: str = 'argmax',
    ) -> None:
        super().__init__(
            num_classes=num_classes, ignore_index=ignore_index, scale=scale, reencode=reencode
        )
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
        reencode: See :class:`LabelEncoder`.
    """

    learned = True

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int = 256,
        ignore_index: int = 255,
        scale: float = 0.01,
        reencode: str = 'argmax',
    ) -> None:
        super().__init__(
            num_classes=num_classes, ignore_index=ignore_index, scale=scale, reencode=reencode
        )
        self.channels = channels
        self.embedding_table = nn.Embedding(num_classes + 1, channels)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`; squashed once per class rather than once per pixel."""
        return (2 * self.embedding_table.weight.sigmoid() - 1) * self.scale
