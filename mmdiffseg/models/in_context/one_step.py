"""Ref LDM-Seg-f (LDIS-1): one call of the U-Net turns the latent of the query into the mask's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.in_context.segmentor import InContextSegmentor
from mmdiffseg.models.latent.autoencoder import decode_latent
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class RefLDMSegOneStep(InContextSegmentor):
    """In-context segmentation by a single call of the U-Net, without sampling.

    Args:
        loss_space: Where the squared error is taken: of the ``'latent'`` (as released) or of the
            decoded ``'pixel'``.
        noise_t: Time of the noise on the query's latent: None for no noise and a time of 0 (as
            released), an integer, or (low, high), both included, to draw from. The paper adds noise
            and does not say how much.
        latent_eval: At test time ``'sample'`` the query's latent (as released) or take its
            ``'mode'``.
        ignore_in_loss: Leave ignored pixels out of the pixel loss. By default they are learned as
            background, as released.
        **parts: See :class:`InContextSegmentor`.

    Example:
        >>> config = Config.fromfile('configs/ref_ldm_seg/refldmseg-f_shapes.py')
        >>> model = MODELS.build(config.model).eval()
        >>> (sample,) = model.test_step(batch)
        >>> sample.pred_sem_seg.data.shape
        torch.Size([1, 64, 64])
    """

    def __init__(
        self,
        *,
        loss_space: str = 'latent',
        noise_t: int | tuple[int, int] | None = None,
        latent_eval: str = 'sample',
        ignore_in_loss: bool = False,
        **parts,
    ) -> None:
        if loss_space not in ('latent', 'pixel'):
            raise ValueError(f"loss_space must be 'latent' or 'pixel', got {loss_space!r}")
        if latent_eval not in ('sample', 'mode'):
            raise ValueError(f"latent_eval must be 'sample' or 'mode', got {latent_eval!r}")
        if ignore_in_loss and loss_space == 'latent':
            raise ValueError("ignore_in_loss needs loss_space='pixel': a latent cell has no label")
        super().__init__(**parts)
        if isinstance(noise_t, int):
            noise_t = (noise_t, noise_t)
        times = self.scheduler.config.num_train_timesteps
        if noise_t and not 0 <= noise_t[0] <= noise_t[1] < times:
            raise ValueError(f'noise_t must lie in 0..{times - 1}, got {noise_t}')
        self.loss_space = loss_space
        self.noise_t = noise_t
        self.latent_eval = latent_eval
        self.ignore_in_loss = ignore_in_loss

    def mask_loss(
        self, query: Tensor, labels: Tensor, prompts: EncodedPrompts, *, draws: Draws
    ) -> dict[str, Tensor]:
        """Squared error of the painted mask.

        Args:
            query: Pictures (B, 3, S, S) in [-1, 1].
            labels: Their labels (B, S, S): 0, 1, and 255 (ignored).
            prompts: The encoded prompts of each query.
            draws: Normal ``mask`` and ``query`` (B, C, h, w), in this order, for the two latents;
                with ``noise_t`` also normal ``eps`` and integer ``t`` (B,).

        Returns:
            ``loss_latent`` or ``loss_pixel``.
        """
        target = self.pseudo_mask.encode(labels, query)  # (B, 3, S, S)
        noise = draws.normal('mask', self.latent_shape(query), device=query.device)
        estimate = self._estimate(query, prompts, draws, sample=True)
        if self.loss_space == 'latent':
            return dict(loss_latent=F.mse_loss(estimate, self.scaled_latent(target, noise)))
        picture = decode_latent(self.vae, estimate / self.vae.config.scaling_factor)
        error = (picture - target).square()
        if self.ignore_in_loss:
            valid = (labels != 255)[:, None].expand_as(error)
            return dict(loss_pixel=(error * valid).sum() / valid.sum().clamp(min=1))
        return dict(loss_pixel=error.mean())

    def mask_latent(self, query: Tensor, prompts: EncodedPrompts, *, draws: Draws) -> Tensor:
        """Estimate the latents (B, C, h, w) of the painted masks, scaled.

        Args:
            query: Pictures (B, 3, S, S) in [-1, 1].
            prompts: The encoded prompts of each query.
            draws: As in :meth:`mask_loss`, without ``mask``, and without ``query`` for the mode.
        """
        return self._estimate(query, prompts, draws, sample=self.latent_eval == 'sample')

    def _estimate(
        self, query: Tensor, prompts: EncodedPrompts, draws: Draws, *, sample: bool
    ) -> Tensor:
        shape, device = self.latent_shape(query), query.device
        z = self.scaled_latent(
            query, draws.normal('query', shape, device=device) if sample else None
        )
        t = torch.zeros(len(z), dtype=torch.long, device=device)
        if self.noise_t:
            low, high = self.noise_t
            eps = draws.normal('eps', shape, device=device)
            t = draws.integers('t', low, high + 1, (len(z),), device=device)
            z = self.scheduler.add_noise(z, eps, t)
        return self.denoise(z, t, prompts)
