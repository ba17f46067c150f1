"""Binary masks painted as pictures, so that a frozen image autoencoder can carry them."""

import torch
from torch import Tensor, nn

from mmdiffseg.registry import LABEL_ENCODERS


@LABEL_ENCODERS.register_module()
class PseudoMaskEncoder(nn.Module):
    """Masks as three-channel pictures in [-1, 1] (Ref LDM-Seg, "output alignment").

    The first channel is ``high`` on the background and ``low`` on the object, the second the other
    way round, the third their mean. The augmented form mixes the image in:
    ``x0 = (1 - mask_alpha) paint + mask_alpha image``. Decoding takes the image out again and
    compares the two channels.

    The paper writes the augmented form as ``paint(a, b) + image / alpha``; both describe the same
    picture, with ``alpha = 1 / mask_alpha`` and ``a, b = (1 - mask_alpha) (low, high)``.

    Args:
        low: Lower value of the paint.
        high: Upper value of the paint.
        mask_alpha: Share of the image, in [0, 1); 0 is the plain ("vanilla") pseudo mask.
        a: The paper's lower value; with ``b`` and ``alpha`` instead of the above.
        b: The paper's upper value.
        alpha: The paper's divisor of the image, above 1.

    Raises:
        ValueError: The values do not make a pseudo mask.
    """

    channels = 3

    def __init__(
        self,
        *,
        low: float = -1.0,
        high: float = 1.0,
        mask_alpha: float = 0.0,
        a: float | None = None,
        b: float | None = None,
        alpha: float | None = None,
    ) -> None:
        super().__init__()
        paper = (a, b, alpha)
        if paper != (None, None, None):
            if None in paper or (low, high, mask_alpha) != (-1.0, 1.0, 0.0):
                raise ValueError(
                    'a pseudo mask is given by low, high and mask_alpha, or by all of a, b and '
                    f'alpha, got low={low}, high={high}, mask_alpha={mask_alpha}, a={a}, b={b}, '
                    f'alpha={alpha}'
                )
            if alpha <= 1:
                raise ValueError(f'alpha divides the image and must exceed 1, got {alpha}')
            mask_alpha = 1 / alpha
            low, high = a / (1 - mask_alpha), b / (1 - mask_alpha)
        if not 0 <= mask_alpha < 1:
            raise ValueError(
                f'mask_alpha is the share of the image in the mask and must lie in [0, 1), got '
                f'{mask_alpha}'
            )
        if not low < high:
            raise ValueError(f'the lower value must be below the upper one, got {low} and {high}')
        self.low = low
        self.high = high
        self.mask_alpha = mask_alpha
        # in the checkpoint, because a model works only with the pseudo mask it was trained on
        self.register_buffer('settings', self._settings())
        self._register_load_state_dict_pre_hook(self._refuse_other_settings)

    def encode(self, labels: Tensor, image: Tensor | None = None) -> Tensor:
        """Paint labels.

        Args:
            labels: (B, h, w) of 0, 1 and 255; ignored pixels are painted as background.
            image: (B, 3, h, w) in [-1, 1]; only the plain form does without.

        Returns:
            x0 (B, 3, h, w), float32.

        Raises:
            ValueError: Other labels.
        """
        known = (labels == 0) | (labels == 1) | (labels == 255)
        if not known.all():
            raise ValueError(
                'labels of a binary mask must be 0, 1 or 255 (ignored), got '
                f'{labels[~known].unique().tolist()[:5]}: choose one class first'
            )
        share = 1 - self.mask_alpha
        low, high = share * self.low, share * self.high
        on_object = labels == 1  # (B, h, w)
        background = torch.full(labels.shape, high, device=labels.device)
        paint = torch.stack(
            [
                background.masked_fill(on_object, low),
                torch.full_like(background, low).masked_fill(on_object, high),
                torch.full_like(background, (low + high) / 2),
            ],
            dim=1,
        )  # (B, 3, h, w)
        return paint if self.mask_alpha == 0 else paint + self.mask_alpha * image

    def decode_logits(self, x0: Tensor, image: Tensor | None = None) -> Tensor:
        """Scores (B, 2, h, w) of background and object: the first channels without the image.

        A perfect picture's scores differ by ``(1 - mask_alpha) (high - low)``.

        Args:
            x0: Pictures (B, 3, h, w).
            image: (B, 3, h, w) in [-1, 1], that of :meth:`encode`.
        """
        return x0[:, :2] if self.mask_alpha == 0 else (x0 - self.mask_alpha * image)[:, :2]

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return f'low={self.low:g}, high={self.high:g}, mask_alpha={self.mask_alpha:g}'

    def _refuse_other_settings(self, state_dict: dict, prefix: str, *args) -> None:
        saved = state_dict.get(f'{prefix}settings')
        # half precision keeps three digits
        if saved is not None and (saved.cpu().float() - self._settings()).abs().max() > 1e-3:
            low, high, mask_alpha = (round(value, 3) for value in saved.tolist())
            raise ValueError(
                f'the checkpoint was trained on pseudo masks of low={low:g}, high={high:g}, '
                f'mask_alpha={mask_alpha:g}, the model has {self.extra_repr()}: its masks would be '
                "wrong; correct 'model.pseudo_mask'"
            )

    def _settings(self) -> Tensor:
        return torch.tensor([self.low, self.high, self.mask_alpha], device='cpu')
