"""Heat maps from the cross-attention of Stable Diffusion: the generative part of Ref-Diff."""

from collections.abc import Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmdiffseg.diffusion.draws import Draws, check_seed
from mmdiffseg.models.latent import autoencoder
from mmdiffseg.models.latent.stable_diffusion import load_scheduler, load_unet, load_vae
from mmdiffseg.models.latent.text import load_text_encoder, load_tokenizer
from mmdiffseg.models.referring.attention_capture import (
    ATTN_TYPES,
    capture_attention,
    cross_attention_layers,
)
from mmdiffseg.models.referring.heat_map import RESIZES, picture_heat, square_image
from mmdiffseg.models.referring.root_finder import Root
from mmdiffseg.models.referring.sentences import MATCHES, check_sentence, token_position
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class CrossAttentionLocalizer(nn.Module):
    """Heat maps of sentences, from the cross-attention of a Stable Diffusion.

    The image is encoded, lightly noised, and denoised for the last few steps of a DDIM chain with
    the sentence as the prompt. The attention maps of the root word are averaged over layers and
    steps. Nothing is decoded, and the U-Net stops after the last captured layer.

    Randomness (``draws``), one row for each sentence: ``posterior`` (n, C, h, w) samples the
    latents of the image, ``start`` (n, C, h, w) noises them.

    Example:
        >>> localizer = CrossAttentionLocalizer(checkpoint='demo/tiny_world', image_size=64,
        ...                                     capture_stride=4)
        >>> moments = localizer.encode_image(image)  # (H, W, 3) uint8 RGB
        >>> draws = Draws.named(['the red circle'], seed=0)
        >>> localizer(moments, ['the red circle'], [Root('circle', 8)], size=(64, 64), draws=draws)

    Args:
        checkpoint: Folder or hub name of a Stable Diffusion. The released code uses the non-EMA
            weights of ``v1-5-pruned.ckpt``: tools/model_converters/ldm_to_diffusers.py makes a
            folder of them.
        image_size: Side of the square that the image is padded and resized to, in pixels.
        capture_stride: Pixels between the queries of the captured layers.
        steps: Steps of the whole DDIM chain.
        strength: Share of these steps to run, at the clean end of the chain.
        noise_index: Step of the chain whose noise level is put on the image. By default one above
            the first denoising step, as in the released code: noised at t = 101, denoised at 51
            and 1.
        guidance: Classifier-free guidance scale of the denoising.
        attn_guidance: Guidance scale g of the attention maps, u + g (c - u); None takes the maps of
            the sentence, c.
        attn_type: ``'logits'`` (released) or ``'softmax'`` (paper).
        resize: ``'lanczos_u8'`` (released) or ``'bilinear'`` (paper).
        prompt_suffix: Text to append to the sentence. The released code appends a comma and a list
            of further words, which is empty.
        match: How the root word is found among the tokens: ``'substring'`` (released) or
            ``'token'``.
        seed: Seed of the noise.
        max_batch: Number of sentences to run at once; it bounds the memory.
        max_latent_std: Standard deviation of the latents above which an image is noted as unlike
            those that the checkpoint was trained on; None notes nothing.

    Raises:
        ValueError: A setting is unknown, or does not fit the checkpoint.
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        image_size: int = 1024,
        capture_stride: int = 32,
        steps: int = 20,
        strength: float = 0.1,
        noise_index: int | None = None,
        guidance: float = 9.0,
        attn_guidance: float | None = 9.0,
        attn_type: str = 'logits',
        resize: str = 'lanczos_u8',
        prompt_suffix: str = ', ',
        match: str = 'substring',
        seed: int = 0,
        max_batch: int = 8,
        max_latent_std: float | None = None,
    ) -> None:
        super().__init__()
        for name, known, given in (
            ('attn_type', ATTN_TYPES, attn_type),
            ('resize', RESIZES, resize),
            ('match', MATCHES, match),
        ):
            if given not in known:
                raise ValueError(f'{name} must be one of {known}, got {given!r}')
        run = int(strength * steps)
        if not 1 <= run < steps:
            raise ValueError(
                f'strength={strength} runs {run} of {steps} steps: choose a strength that runs at '
                f'least 1 and at most {steps - 1}'
            )
        check_seed(seed)
        scheduler = load_scheduler(checkpoint, kind='DDIMScheduler')
        self.scheduler = scheduler.from_config(
            scheduler.config, set_alpha_to_one=False, steps_offset=1, timestep_spacing='leading'
        )
        self.scheduler.set_timesteps(steps)
        times = self.scheduler.timesteps.flip(0)  # rising
        self.noise_time = times[run if noise_index is None else noise_index]
        self.times = times[:run].flip(0)

        self.vae = load_vae(checkpoint)
        self.vae.decoder = self.vae.post_quant_conv = None
        self.unet = load_unet(checkpoint)
        self.text_encoder = load_text_encoder(checkpoint)
        self.tokenizer = load_tokenizer(checkpoint)
        vae_stride = autoencoder.stride(self.vae)
        coarsest = vae_stride * 2 ** (len(self.unet.config.down_block_types) - 1)
        if image_size % coarsest:
            raise ValueError(
                f'image_size must be a multiple of {coarsest}, the stride of the U-Net, '
                f'got {image_size}'
            )
        self.layers = list(cross_attention_layers(self.unet, capture_stride / vae_stride).values())
        self.image_size = image_size
        self.grid = image_size // capture_stride
        self.guidance = guidance
        self.attn_guidance = attn_guidance
        self.attn_type = attn_type
        self.resize = resize
        self.prompt_suffix = prompt_suffix
        self.match = match
        self.seed = seed
        self.max_batch = max_batch
        self.max_latent_std = max_latent_std

    def encode_image(self, image: NDArray) -> Tensor:
        """Mean and standard deviation of the latents of an image (H, W, 3) uint8 RGB.

        Returns:
            (2, C, h, w) float32, scaled as the U-Net expects latents.
        """
        pixels = square_image(image, self.image_size).to(self.vae.device, self.vae.dtype)
        posterior = self.vae.encode(pixels).latent_dist
        moments = torch.cat([posterior.mean, posterior.std])  # (2, C, h, w)
        return moments.float() * self.vae.config.scaling_factor

    def check(self, text: str, root: Root) -> list[str]:
        """Refuse a sentence that cannot be read, and note its unknown words.

        Raises:
            ValueError: The text encoder cannot read it.
        """
        return check_sentence(self.tokenizer, text, root)

    def check_image(self, moments: Tensor) -> list[str]:
        """Note an image, by its moments, that is unlike those of the training."""
        std = moments[0].std().item()
        if self.max_latent_std is None or std <= self.max_latent_std:
            return []
        return [
            f'the image is unlike those that the model was trained on (its latents have a standard '
            f'deviation of {std:.2f}, more than {self.max_latent_std}): the answer may mean nothing'
        ]

    def forward(
        self,
        moments: Tensor,
        texts: Sequence[str],
        roots: Sequence[Root],
        *,
        size: tuple[int, int],
        draws: Draws,
    ) -> Tensor:
        """Make the heat maps of sentences about one image.

        Args:
            moments: Moments of the image, from :meth:`encode_image`.
            texts: n sentences that passed :meth:`check`.
            roots: The root word of each sentence.
            size: Height and width of the image.
            draws: The noise, one row for each sentence.

        Returns:
            (n, H, W) float64 in [0, 1), on the CPU.

        Raises:
            FloatingPointError: Some attention is not finite, which happens in half precision.
        """
        mean, std = moments  # (C, h, w) each
        shape, device = (len(texts), *mean.shape), moments.device
        z0 = mean + std * draws.normal('posterior', shape, device=device)
        noise = draws.normal('start', shape, device=device)
        z_t = self.scheduler.add_noise(z0, noise, self.noise_time)  # (n, C, h, w)
        positions = [
            token_position(self.tokenizer, text, root, match=self.match)
            for text, root in zip(texts, roots, strict=True)
        ]
        tokens = torch.tensor(positions, device=device)
        heats = []
        for first in range(0, len(texts), self.max_batch):
            some = slice(first, first + self.max_batch)
            for text, maps in zip(
                texts[some], self.attention_maps(z_t[some], texts[some], tokens[some]), strict=True
            ):
                if not maps.isfinite().all():
                    raise FloatingPointError(
                        f'the attention to {text!r} is not finite: run in float32 or bfloat16'
                    )
                heats.append(picture_heat(maps, *size, resize=self.resize))
        return torch.stack(heats)

    def attention_maps(self, z_t: Tensor, texts: Sequence[str], tokens: Tensor) -> Tensor:
        """Attention maps (n, M, g, g) of n sentences, of all steps and captured layers.

        Args:
            z_t: Noised latents (n, C, h, w).
            texts: n sentences.
            tokens: Position of the root word's last token in each sentence (n,).
        """
        n = len(texts)
        prompts = [text + self.prompt_suffix for text in texts]
        # without any guidance the half without a sentence is not run
        guided = self.guidance != 1 or self.attn_guidance is not None
        context = self.encode_prompts([''] * n * guided + prompts)  # (2 n, L, D): without, with
        tokens = tokens.repeat(1 + guided)

        enough = len(self.times) * len(self.layers)
        with capture_attention(
            self.layers, tokens, attn_type=self.attn_type, enough=enough
        ) as maps:
            for t in self.times:
                latents = z_t.to(self.unet.dtype).repeat(1 + guided, 1, 1, 1)
                eps = self.unet(latents, t.to(z_t.device), encoder_hidden_states=context).sample
                if guided:
                    without, eps = eps.float().chunk(2)
                    eps = without + self.guidance * (eps - without)
                z_t = self.scheduler.step(eps.float(), t, z_t).prev_sample
        maps = torch.stack(maps, dim=1).unflatten(2, (self.grid, self.grid))  # (2 n, M, g, g)
        if self.attn_guidance is None:
            return maps[-n:]
        without, maps = maps.chunk(2)
        return without + self.attn_guidance * (maps - without)

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Encode texts to (n, L, D), padded to the length that the encoder was trained with."""
        unique = list(dict.fromkeys(prompts))
        ids = self.tokenizer(
            unique, padding='max_length', truncation=True, return_tensors='pt'
        ).input_ids
        states = self.text_encoder(ids.to(self.unet.device)).last_hidden_state  # (m, L, D)
        return states[[unique.index(prompt) for prompt in prompts]]
