"""Sets of masks as something to diffuse: Q slots, some of which hold objects (DFormer)."""

import torch
from torch import Tensor, nn

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
    """

    def __init__(self, *, encoding: str = 'binary', scale: float = 0.1) -> None:
        super().__init__()
        if encoding not in ENCODINGS:
            raise ValueError(f'encoding must be one of {ENCODINGS}, got {encoding!r}')
        if scale <= 0:
            raise ValueError(f'scale must be positive, got {scale}')
        self.encoding = encoding
        self.scale = scale

    def encode(self, masks: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Encode masks (..., h, w), boolean, to x0 of that shape.

        Args:
            masks: The masks.
            generator: Draws the values of ``random_shuffle``; torch's global one by default.
        """
        soft = masks.float()
        if self.encoding == 'random_shuffle':
            u = torch.rand(soft.shape, generator=generator, device=soft.device)
            soft = (soft + u) / 2
        return (2 * soft - 1) * self.scale

    def encode_logits(self, logits: Tensor) -> Tensor:
        """Encode mask logits (..., h, w) to x0 of that shape."""
        return (2 * logits.sigmoid() - 1) * self.scale

    def to_soft_masks(self, signals: Tensor) -> Tensor:
        """Clamp signals (..., h, w) to the range and map it to [0, 1]; float32."""
        clamped = signals.clamp(-self.scale, self.scale)
        # in place: 100 masks of the size of the image are a hundred megabytes
        return clamped.div_(self.scale).add_(1).div_(2).float()

    def decode(self, x0: Tensor) -> Tensor:
        """Masks (..., h, w), boolean, of signals of that shape."""
        return x0 > 0

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'encoding={self.encoding!r}, scale={self.scale}'


def fill_slots(
    masks: Tensor,
    num_slots: int,
    *,
    padding: Tensor | None = None,
    order: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill up a set of masks with random ones and shuffle it, so that no slot means an object.

    More masks than slots are thinned out at random.

    Args:
        masks: Object masks (n, h, w), boolean.
        num_slots: Number Q of slots.
        padding: The random masks (max(Q - n, 0), h, w) instead of drawn ones, whose pixels are on
            with probability 1/2.
        order: Which mask comes into which slot (Q,), objects counted first, instead of a drawn one.
        generator: Draws what is not given; torch's global one by default.

    Returns:
        (Q, h, w), boolean.
    """
    n, h, w = masks.shape
    if padding is None:
        shape = (max(num_slots - n, 0), h, w)
        padding = torch.empty(shape, dtype=torch.bool, device=masks.device)
        padding.random_(generator=generator)
    if order is None:
        count = max(num_slots, n)
        order = torch.randperm(count, generator=generator, device=masks.device)[:num_slots]
    return torch.cat([masks, padding])[order]
