"""Ref LDM-Seg-n (LDIS-n): the mask's latent out of noise, beside that of the query."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.in_context.guidance import guide
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.in_context.widen import widen_input
from mmdiffseg.models.latent.autoencoder import encode_image
from mmdiffseg.registry import TASK_UTILS

if TYPE_CHECKING:
    from mmdiffseg.models.in_context.segmentor import RefLDMSeg


@TASK_UTILS.register_module()
class MultiStep:
    """Conditional diffusion of the mask's latent, with guidance by the query and the prompt.

    Args:
        cond_drop_prob: In training, probability p of losing the prompt alone, the query alone, and
            both.
        null_mask: Where a dropped prompt is attended to: on the foreground of the real one
            (``'prompt'``, as released) or everywhere (``'ones'``).
        sampler: Scheduler class of diffusers for sampling, and what to change in its config, for
            example ``dict(type='DDIMScheduler')`` for a deterministic one.
        steps: Sampling steps.
        guidance: Scales of the query's and the prompt's direction; where one is below 1 there is
            no guidance.
        copy_bias: Keep the bias of the widened first convolution; False draws a new one, as
            released.

    Raises:
        ValueError: A value is none of these.
    """

    def __init__(
        self,
        *,
        cond_drop_prob: float = 0.05,
        null_mask: str = 'prompt',
        sampler: dict = dict(type='DDPMScheduler'),
        steps: int = 20,
        guidance: dict = dict(query=1.5, prompt=7.0),
        copy_bias: bool = True,
    ) -> None:
        if not 0 <= cond_drop_prob <= 1 / 3:
            raise ValueError(f'cond_drop_prob must lie in [0, 1/3], got {cond_drop_prob}')
        if null_mask not in ('prompt', 'ones'):
            raise ValueError(f"null_mask must be 'prompt' or 'ones', got {null_mask!r}")
        if steps < 1:
            raise ValueError(f'steps must be at least 1, got {steps}')
        if guidance.keys() != {'query', 'prompt'}:
            raise ValueError(f'guidance needs the scales query and prompt, got {guidance}')
        self.cond_drop_prob = cond_drop_prob
        self.null_mask = null_mask
        self.sampler_config = sampler
        self.steps = steps
        self.guidance = guidance
        self.copy_bias = copy_bias

    def prepare(self, model: RefLDMSeg) -> None:
        """Widen the U-Net's input and build the sampler."""
        channels = model.vae.config.latent_channels
        widen_input(model.unet, 2 * channels, copy_bias=self.copy_bias)
        changes = {**self.sampler_config}
        name = changes.pop('type')
        kind = getattr(import_extra('diffusers'), name, None)
        if kind is None:
            raise ValueError(f'diffusers has no scheduler {name!r}')
        self.sampler = kind.from_config(model.scheduler.config, **changes)
        self.sampler.set_timesteps(self.steps)  # refuses impossible step counts right here

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
        """Squared error of the noise (or of what the schedule's ``prediction_type`` says).

        Args:
            model: Its networks.
            query: Pictures (B, 3, S, S) in [-1, 1].
            target: Pseudo masks (B, 3, S, S).
            prompts: Their prompts.
            draws: In this order normal ``mask`` and ``eps`` (B, C, h, w) for the mask's latent and
                the noise, integer ``t`` (B,), and uniform ``drop`` (B,): below 2p the prompt is
                dropped, in [p, 3p) the query.
            valid: Unused; pixels to be ignored are learned as background.
        """
        shape = model.latent_shape(query)
        condition = encode_image(model.vae, query)  # not scaled, as released
        z = encode_image(model.vae, target, draws.normal('mask', shape, device=query.device))
        z = z * model.vae.config.scaling_factor
        eps = draws.normal('eps', shape, device=query.device)
        scheduler = model.scheduler
        times = scheduler.config.num_train_timesteps
        t = draws.integers('t', 0, times, (len(z),), device=z.device)
        z_t = scheduler.add_noise(z, eps, t)
        condition, prompts = self._drop(
            model, condition, prompts, draws.uniform('drop', (len(z),), device=z.device)
        )
        output = model.denoise(torch.cat([z_t, condition], dim=1), t, prompts)
        kind = scheduler.config.prediction_type
        if kind == 'v_prediction':
            eps = scheduler.get_velocity(z, eps, t)
        elif kind == 'sample':
            eps = z
        return dict(loss_eps=F.mse_loss(output, eps))

    def _drop(
        self, model: RefLDMSeg, condition: Tensor, prompts: EncodedPrompts, r: Tensor
    ) -> tuple[Tensor, EncodedPrompts]:
        """Drop prompts where r < 2p and queries where p <= r < 3p, for r (B,)."""
        p = self.cond_drop_prob
        no_prompt, no_query = r < 2 * p, (r >= p) & (r < 3 * p)
        condition = condition.masked_fill(no_query[:, None, None, None], 0)
        null = model.prompt_encoder.null_tokens(prompts.tokens)
        tokens = torch.where(no_prompt[:, None, None], null, prompts.tokens)
        mask = prompts.mask
        if self.null_mask == 'ones':
            mask = mask.masked_fill(no_prompt[:, None], 1)
        return condition, EncodedPrompts(tokens, mask)

    def sample(
        self, model: RefLDMSeg, query: Tensor, prompts: EncodedPrompts, *, draws: Draws
    ) -> Tensor:
        """Sample the masks' latents.

        The three branches of the guidance (query and prompt, query alone, neither) are one batch.

        Args:
            model: Its networks.
            query: Pictures (B, 3, S, S) in [-1, 1].
            prompts: Their prompts.
            draws: Normal ``start`` (B, C, h, w); its generator then draws the noise of the steps,
                where the sampler adds any.

        Returns:
            Latents (B, C, h, w), scaled.
        """
        condition = encode_image(model.vae, query)
        guided = min(self.guidance.values()) >= 1
        if guided:
            null = model.prompt_encoder.null_tokens(prompts.tokens)
            mask = prompts.mask
            null_mask = mask if self.null_mask == 'prompt' else torch.ones_like(mask)
            prompts = EncodedPrompts(
                torch.cat([prompts.tokens, null, null]), torch.cat([mask, null_mask, null_mask])
            )
            condition = torch.cat([condition, condition, torch.zeros_like(condition)])
        sampler = self.sampler
        sampler.set_timesteps(self.steps, device=query.device)
        takes = signature(sampler.step).parameters
        options = dict(generator=draws.generator) if 'generator' in takes else {}
        z = (
            draws.normal('start', model.latent_shape(query, device=query.device))
            * sampler.init_noise_sigma
        )
        for t in sampler.timesteps:
            z_t = sampler.scale_model_input(z, t).float()
            z_t = z_t.repeat(len(condition) // len(z), 1, 1, 1)
            eps = model.denoise(torch.cat([z_t, condition], dim=1), t, prompts)
            if guided:
                eps_full, eps_query, eps_null = eps.chunk(3)
                eps = guide(eps_null, eps_query, eps_full, **self.guidance)
            z = sampler.step(eps, t, z, **options).prev_sample
        return z.float()
