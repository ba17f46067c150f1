"""Sets of masks as something to diffuse: Q slots, some of which hold objects (DFormer)."""

import math

import torch
from torch import Tensor, nn

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import LABEL_ENCODERS

ENCODINGS = ('binary', 'random_shuffle')


@LABEL_ENCODERS.register_module()
class MaskSetEncoder(nn.Module):
    """Masks as signals in [-scale, scale], each pixel of each mask for itself (DFormer).

    Args:
        encoding: ``binary``, the authors' code: the ends of the range. ``random_shuffle``, the
            paper's other choice: uniform in the upper half of the range on the object, in the
            lower one elsewhere.
        scale: Half-width of the range. Diffusion adds noise of unit variance, so a smaller scale
            makes every time step harder.

    Example:
        >>> encoder = MaskSetEncoder(scale=0.1)
        >>> encoder.encode(torch.ones(1, 100, 64, 64, dtype=torch.bool), Draws()).unique()
        tensor([0.1000])
    """

    def __init__(self, *, encoding: str = 'binary', scale: float = 0.1) -> None:
        super().__init__()
        if encoding not in ENCODINGS:
            raise ValueError(f'encoding must be one of {ENCODINGS}, got {encoding!r}')
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        self.encoding = encoding
        self.scale = scale

    def encode(self, masks: Tensor, draws: Draws) -> Tensor:
        """Encode masks (B, Q, h, w), boolean, to x0 of that shape.

        Args:
            masks: The masks.
            draws: Uniform ``shuffle``, shape of the masks, for ``random_shuffle``.
        """
        soft = masks.float()
        if self.encoding == 'random_shuffle':
            u = draws.uniform('shuffle', soft.shape, device=soft.device)
            soft = (soft + u) / 2
        return (2 * soft - 1) * self.scale

    def encode_output(self, output: Tensor) -> Tensor:
        """Encode an output, mask logits (..., h, w), to x0 of that shape."""
        return (2 * output.sigmoid() - 1) * self.scale

    def to_soft_masks(self, signals: Tensor) -> Tensor:
        """Clamp signals (..., h, w) to the range and map it to [0, 1]; float32."""
        clamped = signals.clamp(-self.scale, self.scale)
        # in place: 100 masks of the size of the image are a hundred megabytes
        return clamped.div_(self.scale).add_(1).div_(2).float()

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'encoding={self.encoding!r}, scale={self.scale}'


def fill_slots(masks: Tensor, num_slots: int, draws: Draws) -> Tensor:
    """Fill up a set of masks with random ones and shuffle it, so that no slot means an object.

    More masks than slots are thinned out at random.

    Args:
        masks: Object masks of one image (n, h, w), boolean.
        num_slots: Number Q of slots.
        draws: The random masks ``padding`` (1, max(Q - n, 0), h, w), whose pixels are on with
            probability 1/2, and the ``order`` (1, Q) in which masks come into the slots, objects
            counted first.

    Returns:
        (Q, h, w), boolean.
    """
    n, h, w = masks.shape
    shape = (1, max(num_slots - n, 0), h, w)
    padding = draws.coins('padding', shape, device=masks.device)[0]
    order = draws.permutation('order', max(num_slots, n), device=masks.device)[:num_slots]
    return torch.cat([masks, padding.to(masks.dtype)])[order]
