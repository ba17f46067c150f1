"""Ref LDM-Seg-n (LDIS-n): diffusion of the mask's latent, beside the latent of the query."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdiffseg.diffusion.corruption import Preconditioner, corrupt
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context.guidance import guide
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.in_context.segmentor import InContextSegmentor
from mmdiffseg.models.in_context.step_noise import StepNoise
from mmdiffseg.models.latent.autoencoder import encode_image
from mmdiffseg.models.latent.stable_diffusion import scheduler_class
from mmdiffseg.registry import MODELS

#: diffusers' names of what the network predicts, in ours
PREDICTIONS = {'epsilon': 'eps', 'v_prediction': 'v', 'sample': 'x0'}


@MODELS.register_module()
class RefLDMSegMultiStep(InContextSegmentor):
    """In-context segmentation by conditional diffusion, guided by the query and the prompt.

    Args:
        cond_drop_prob: In training, the probability p of dropping the prompt alone, the query
            alone, or both.
        sampler: Scheduler class of diffusers for sampling, and changes to its config, for example
            ``dict(type='DDIMScheduler')`` for a deterministic one.
        steps: Sampling steps.
        guidance: Scales of the query's and the prompt's direction. A scale below 1 turns guidance
            off.
        **parts: See :class:`InContextSegmentor`.

    Example:
        >>> config = Config.fromfile('configs/ref_ldm_seg/refldmseg-n_shapes.py')
        >>> model = MODELS.build(config.model).eval()
        >>> (sample,) = model.test_step(batch)
        >>> sample.pred_sem_seg.data.shape
        torch.Size([1, 64, 64])
    """

    input_latents = 2  # the noisy mask, then the query

    def __init__(
        self,
        *,
        cond_drop_prob: float = 0.05,
        sampler: dict = dict(type='DDPMScheduler'),
        steps: int = 20,
        guidance: dict = dict(query=1.5, prompt=7.0),
        **parts,
    ) -> None:
        if not 0 <= cond_drop_prob <= 1 / 3:
            raise ValueError(f'cond_drop_prob must lie in [0, 1/3], got {cond_drop_prob}')
        if steps < 1:
            raise ValueError(f'steps must be at least 1, got {steps}')
        if guidance.keys() != {'query', 'prompt'}:
            raise ValueError(f'guidance needs the scales query and prompt, got {guidance}')
        changes = dict(sampler)
        kind = scheduler_class(changes.pop('type'))
        super().__init__(**parts)
        self.sampler = kind.from_config(self.scheduler.config, **changes)
        self.sampler.set_timesteps(steps)  # refuses impossible step counts right here
        prediction = self.scheduler.config.prediction_type
        self.preconditioner = Preconditioner(PREDICTIONS.get(prediction, prediction))
        self.cond_drop_prob = cond_drop_prob
        self.steps = steps
        self.guidance = guidance

    @property
    def guided(self) -> bool:
        """Whether sampling uses guidance."""
        return min(self.guidance.values()) >= 1

    def mask_loss(
        self, query: Tensor, labels: Tensor, prompts: EncodedPrompts, *, draws: Draws
    ) -> dict[str, Tensor]:
        """Squared error of the noise, or of what else the schedule says the network predicts.

        Args:
            query: Pictures (B, 3, S, S) in [-1, 1].
            labels: Their labels (B, S, S): 0, 1, and 255 (ignored), which is learned as background.
            prompts: The encoded prompts of each query.
            draws: In this order: normal ``mask`` (B, C, h, w) for the mask's latent, normal ``eps``
                for the noise, integer ``t`` (B,), and uniform ``drop`` (B,): below 2p the prompt is
                dropped, in [p, 3p) the query.

        Returns:
            ``loss_eps``.
        """
        shape, device = self.latent_shape(query), query.device
        condition = encode_image(self.vae, query)  # not scaled, as released
        target = self.pseudo_mask.encode(labels, query)  # (B, 3, S, S)
        z = self.scaled_latent(target, draws.normal('mask', shape, device=device))
        eps = draws.normal('eps', shape, device=device)
        t = draws.integers(
            't', 0, self.scheduler.config.num_train_timesteps, shape[:1], device=device
        )
        drop = draws.uniform('drop', shape[:1], device=device)
        condition, prompts = self._drop(condition, prompts, drop)
        abar = self.scheduler.alphas_cumprod.to(device)[t]
        alpha, sigma = abar.sqrt(), (1 - abar).sqrt()
        z_t = corrupt(z, eps, alpha, sigma)
        output = self.denoise(torch.cat([z_t, condition], dim=1), t, prompts)
        return dict(loss_eps=F.mse_loss(output, self.preconditioner.target(z, eps, alpha, sigma)))

    def _drop(
        self, condition: Tensor, prompts: EncodedPrompts, r: Tensor
    ) -> tuple[Tensor, EncodedPrompts]:
        """Drop prompts where r < 2p and queries where p <= r < 3p, for r (B,)."""
        p = self.cond_drop_prob
        no_prompt, no_query = r < 2 * p, (r >= p) & (r < 3 * p)
        condition = condition.masked_fill(no_query[:, None, None, None], 0)
        null = self.prompt_encoder.null_tokens(prompts.tokens)
        tokens = torch.where(no_prompt[:, None, None], null, prompts.tokens)
        return condition, EncodedPrompts(tokens, prompts.mask)

    def mask_latent(self, query: Tensor, prompts: EncodedPrompts, *, draws: Draws) -> Tensor:
        """Sample the latents (B, C, h, w) of the painted masks, scaled.

        The three branches of the guidance (query and prompt, query alone, neither) are one batch.

        Args:
            query: Pictures (B, 3, S, S) in [-1, 1].
            prompts: The encoded prompts of each query.
            draws: Normal ``start`` (B, C, h, w), and ``step0``, ``step1``, ... where the sampler
                adds noise.
        """
        condition, prompts = self.branches(encode_image(self.vae, query), prompts)
        sampler = self.sampler
        sampler.set_timesteps(self.steps, device=query.device)
        z = draws.normal('start', self.latent_shape(query), device=query.device)
        z = z * sampler.init_noise_sigma
        for index, t in enumerate(sampler.timesteps):
            z_t = sampler.scale_model_input(z, t).float()
            output = self.guided_output(z_t, t, condition, prompts)
            with StepNoise(draws, f'step{index}'):
                z = sampler.step(output, t, z).prev_sample
        return z.float()

    def branches(self, condition: Tensor, prompts: EncodedPrompts) -> tuple[Tensor, EncodedPrompts]:
        """Latents of the queries (3 B, C, h, w) and prompts of the branches of the guidance.

        Args:
            condition: Latents of the queries (B, C, h, w).
            prompts: The encoded prompts of each query.
        """
        if not self.guided:
            return condition, prompts
        null = self.prompt_encoder.null_tokens(prompts.tokens)
        condition = torch.cat([condition, condition, torch.zeros_like(condition)])
        # a branch without prompt keeps the prompt's mask, as released
        tokens = torch.cat([prompts.tokens, null, null])
        return condition, EncodedPrompts(tokens, prompts.mask.repeat(3, 1))

    def guided_output(
        self, z_t: Tensor, t: Tensor, condition: Tensor, prompts: EncodedPrompts
    ) -> Tensor:
        """Output of the U-Net (B, C, h, w) for noisy latents, guided.

        Args:
            z_t: Noisy latents of the masks (B, C, h, w).
            t: Their time.
            condition: From :meth:`branches`.
            prompts: Likewise.
        """
        branches = 3 if self.guided else 1
        z_t = z_t.repeat(branches, 1, 1, 1)  # (3 B, C, h, w) with guidance
        output = self.denoise(torch.cat([z_t, condition], dim=1), t, prompts)
        if not self.guided:
            return output
        full, query_alone, neither = output.chunk(3)
        return guide(neither, query_alone, full, **self.guidance)
