"""Ref LDM-Seg-f (LDIS-1): the latent of the query becomes that of the mask in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.in_context.widen import widen_input
from mmdiffseg.models.latent.autoencoder import decode_latent, encode_image
from mmdiffseg.registry import TASK_UTILS

if TYPE_CHECKING:
    from mmdiffseg.models.in_context.segmentor import RefLDMSeg


@TASK_UTILS.register_module()
class OneStep:
    """One call of the U-Net, without sampling.

    Args:
        loss_space: Squared error of the ``'latent'`` (as released) or of the decoded ``'pixel'``.
        noise_t: Noise on the query's latent: None (as released, the time is then 0), that of a
            time, or of one drawn from (low, high), both included. The paper adds noise but does not
            say how much.
        latent_eval: At test time ``'sample'`` the query's latent (as released) or take its
            ``'mode'``.
        ignore_in_loss: Pay no loss for pixels that are to be ignored, of the pixel loss only. They
            are learned as background otherwise.

    Raises:
        ValueError: A value is none of these.
    """

    def __init__(
        self,
        *,
        loss_space: str = 'latent',
        noise_t: int | tuple[int, int] | None = None,
        latent_eval: str = 'sample',
        ignore_in_loss: bool = False,
    ) -> None:
        if loss_space not in ('latent', 'pixel'):
            raise ValueError(f"loss_space must be 'latent' or 'pixel', got {loss_space!r}")
        if latent_eval not in ('sample', 'mode'):
            raise ValueError(f"latent_eval must be 'sample' or 'mode', got {latent_eval!r}")
        if ignore_in_loss and loss_space == 'latent':
            raise ValueError("ignore_in_loss needs loss_space='pixel': a latent cell has no label")
        if isinstance(noise_t, int):
            noise_t = (noise_t, noise_t)
        self.loss_space = loss_space
        self.noise_t = noise_t
        self.latent_eval = latent_eval
        self.ignore_in_loss = ignore_in_loss

    def prepare(self, model: RefLDMSeg) -> None:
        """Check the parts of the model."""
        widen_input(model.unet, model.vae.config.latent_channels)
        times = model.scheduler.config.num_train_timesteps
        if self.noise_t and not 0 <= self.noise_t[0] <= self.noise_t[1] < times:
            raise ValueError(f'noise_t must lie in 0..{times - 1}, got {self.noise_t}')

    def loss(
        self,
        model: RefLDMSeg,
        query: Tensor,
        target: Tensor,
        prompts: EncodedPrompts,
        *,
        draws: Draws,
        valid: Tensor,
    ) -> dict[str, Tensor]:
        """Squared error of the mask.

        Args:
            model: Its networks.
            query: Pictures (B, 3, S, S) in [-1, 1].
            target: Pseudo masks (B, 3, S, S).
            prompts: Their prompts.
            draws: Normal ``mask`` and ``query`` (B, C, h, w), in this order, for the two latents;
                with ``noise_t`` then normal ``eps`` and integer ``t`` (B,).
            valid: Pixels (B, S, S) that are not to be ignored.
        """
        shape = model.latent_shape(query)
        scale = model.vae.config.scaling_factor
        mask_latent = (
            encode_image(model.vae, target, draws.normal('mask', shape, device=query.device))
            * scale
        )
        estimate = self._estimate(model, query, prompts, draws, sample=True)
        if self.loss_space == 'latent':
            return dict(loss_latent=F.mse_loss(estimate, mask_latent))
        error = (decode_latent(model.vae, estimate / scale) - target).square()
        if self.ignore_in_loss:
            valid = valid[:, None].expand_as(error)
            return dict(loss_pixel=(error * valid).sum() / valid.sum().clamp(min=1))
        return dict(loss_pixel=error.mean())

    def sample(
        self, model: RefLDMSeg, query: Tensor, prompts: EncodedPrompts, *, draws: Draws
    ) -> Tensor:
        """Latents of the masks (B, C, h, w), scaled; see :meth:`loss`, without ``mask``."""
        return self._estimate(model, query, prompts, draws, sample=self.latent_eval == 'sample')

    def _estimate(
        self,
        model: RefLDMSeg,
        query: Tensor,
        prompts: EncodedPrompts,
        draws: Draws,
        *,
        sample: bool,
    ) -> Tensor:
        shape = model.latent_shape(query)
        noise = draws.normal('query', shape, device=query.device) if sample else None
        z = encode_image(model.vae, query, noise) * model.vae.config.scaling_factor
        t = torch.zeros(len(z), dtype=torch.long, device=z.device)
        if self.noise_t:
            eps = draws.normal('eps', shape, device=query.device)
            t = draws.integers(
                't', self.noise_t[0], self.noise_t[1] + 1, (len(z),), device=z.device
            )
            z = model.scheduler.add_noise(z, eps, t)
        return model.denoise(z, t, prompts)
