"""Codes of three channels, as of a picture, whatever the number of classes."""

import torch
from torch import Tensor

from mmdiffseg.diffusion.label_encoders import LabelEncoder
from mmdiffseg.registry import LABEL_ENCODERS


@LABEL_ENCODERS.register_module()
class PaletteEncoder(LabelEncoder):
    """Colours on a regular grid: the digits of the label, the third channel counting fastest.

    SemFlow's (Wang et al., 2024). A digit d is the brightness ``stride`` d of 255; ignored pixels
    are white.

    Args:
        num_classes: Number K of classes, at most ``levels`` ^ 3.
        levels: Digits of a channel.
        stride: Brightness between two digits.
        ignore_index: Label of the pixels without a class.
        scale: Half-width of the signal's range.
        reencode: See :class:`LabelEncoder`.

    Raises:
        ValueError: There are more classes than colours, or colours beyond 255.
    """

    channels = 3

    def __init__(
        self,
        *,
        num_classes: int,
        levels: int = 6,
        stride: int = 50,
        ignore_index: int = 255,
        scale: float = 1.0,
        reencode: str = 'argmax',
    ) -> None:
        super().__init__(
            num_classes=num_classes, ignore_index=ignore_index, scale=scale, reencode=reencode
        )
        if num_classes > levels**3:
            raise ValueError(
                f'levels={levels} makes {levels**3} colours for {num_classes} classes: raise it'
            )
        if stride < 1 or stride * (levels - 1) > 255:
            raise ValueError(
                f'levels={levels} and stride={stride} make a brightness of '
                f'{stride * (levels - 1)}, outside 1 .. 255'
            )
        digits = torch.arange(num_classes)[:, None] // levels ** torch.tensor([2, 1, 0]) % levels
        colors = torch.cat([digits * stride, torch.full((1, 3), 255)])  # (K + 1, 3)
        self.register_buffer('codes', (colors / 127.5 - 1) * scale, persistent=False)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`."""
        return self.codes


@LABEL_ENCODERS.register_module()
class KroneckerEncoder(LabelEncoder):
    """Quasi-random colours: frac(k (sqrt 2, sqrt 3, sqrt 5)), k = 1 .. K, stretched to the range.

    After FlowSeg (arXiv 2603.19218), without its correction of the velocity, which sharpens draws
    towards the codes. How the paper stretches is not known; here every channel runs from -scale to
    scale. Ignored pixels are 0.

    Args:
        num_classes: Number K of classes, at least 2.
        ignore_index: Label of the pixels without a class.
        scale: Half-width of the signal's range.
        reencode: See :class:`LabelEncoder`.

    Raises:
        ValueError: There is one class.
    """

    channels = 3

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int = 255,
        scale: float = 1.0,
        reencode: str = 'argmax',
    ) -> None:
        super().__init__(
            num_classes=num_classes, ignore_index=ignore_index, scale=scale, reencode=reencode
        )
        if num_classes < 2:
            raise ValueError(f'num_classes must be at least 2, got {num_classes}')
        numbers = torch.arange(1, num_classes + 1, dtype=torch.float64)[:, None]
        points = (numbers * torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64).sqrt()).frac()
        low, high = points.aminmax(dim=0)
        codes = (2 * (points - low) / (high - low) - 1) * scale
        codes = torch.cat([codes, torch.zeros(1, 3)]).float()  # (K + 1, 3)
        self.register_buffer('codes', codes, persistent=False)

    def codebook(self) -> Tensor:
        """See :meth:`LabelEncoder.codebook`."""
        return self.codes
