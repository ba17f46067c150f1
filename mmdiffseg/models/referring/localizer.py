"""Where Stable Diffusion sees the root word of a sentence: the generative part of Ref-Diff."""

from collections.abc import Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmdiffseg.diffusion.draws import Draws
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

VAE_MODES = ('sample', 'mode')


@MODELS.register_module()
class CrossAttentionLocalizer(nn.Module):
    """Heat maps of sentences, from the cross-attention of a Stable Diffusion.

    The image is encoded, lightly noised, and denoised for the last few steps of a DDIM chain with
    the sentence as the prompt. The attention maps of the root word, of all those layers and steps,
    are averaged. Nothing is decoded; the U-Net is left at the last layer that is looked at.

    Args:
        checkpoint: Folder or hub name of a Stable Diffusion. The released code uses the non-EMA
            weights of ``v1-5-pruned.ckpt``: tools/model_converters/ldm_to_diffusers.py makes a
            folder of them.
        image_size: Side of the square the image is padded and resized to, in pixels.
        capture_stride: Pixels between the queries of the layers that are looked at.
        num_steps: Steps of the whole DDIM chain.
        strength: Share of these steps to run, the last ones.
        noise_index: Step of the grid whose noise level is put on the image. By default one above
            the first denoising step, as in the released code: t = 101, then denoised at 51 and 1.
        guidance: Classifier-free guidance scale of the denoising.
        attn_guidance: The same of the attention maps, u + g (c - u); None takes those of the
            sentence, c.
        attn_type: ``'logits'`` (released) or ``'softmax'`` (paper).
        resize: ``'lanczos_u8'`` (released) or ``'bilinear'`` (paper).
        vae_mode: Take a ``'sample'`` of the encoder's posterior (released), or its ``'mode'``.
        prompt_suffix: Follows the sentence in the prompt; the released code puts a list of further
            words there, which is empty.
        match: How the root word is found among the tokens: ``'substring'`` (released) or
            ``'token'``.
        seed: Of the noise.
        max_sentences: Sentences of one image to run at once: the memory bound.

    Raises:
        ValueError: A setting that there is not, or that does not fit the checkpoint.
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        image_size: int = 1024,
        capture_stride: int = 32,
        num_steps: int = 20,
        strength: float = 0.1,
        noise_index: int | None = None,
        guidance: float = 9.0,
        attn_guidance: float | None = 9.0,
        attn_type: str = 'logits',
        resize: str = 'lanczos_u8',
        vae_mode: str = 'sample',
        prompt_suffix: str = ', ',
        match: str = 'substring',
        seed: int = 0,
        max_sentences: int = 8,
    ) -> None:
        super().__init__()
        for name, known, given in (
            ('attn_type', ATTN_TYPES, attn_type),
            ('resize', RESIZES, resize),
            ('vae_mode', VAE_MODES, vae_mode),
            ('match', MATCHES, match),
        ):
            if given not in known:
                raise ValueError(f'{name} must be one of {known}, got {given!r}')
        steps = int(strength * num_steps)
        if not 1 <= steps < num_steps:
            raise ValueError(
                f'strength {strength} of {num_steps} steps are {steps}: '
                f'at least one must run, and at least one be left out'
            )
        scheduler = load_scheduler(checkpoint, kind='DDIMScheduler')
        self.scheduler = scheduler.from_config(
            scheduler.config, set_alpha_to_one=False, steps_offset=1, timestep_spacing='leading'
        )
        self.scheduler.set_timesteps(num_steps)
        times = self.scheduler.timesteps.flip(0)  # rising
        self.noise_time = times[steps if noise_index is None else noise_index]
        self.times = times[:steps].flip(0)

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
        self.vae_mode = vae_mode
        self.prompt_suffix = prompt_suffix
        self.match = match
        self.seed = seed
        self.max_sentences = max_sentences

    def encode_image(self, image: NDArray) -> Tensor:
        """Mean and standard deviation of the latents of an image (H, W, 3) uint8 RGB.

        Returns:
            (2, C, h, w) float32, scaled as the U-Net expects latents.
        """
        pixels = square_image(image, self.image_size).to(self.vae.device, self.vae.dtype)
        posterior = self.vae.encode(pixels).latent_dist
        moments = torch.cat([posterior.mean, posterior.std])  # (2, C, h, w)
        return moments.float() * self.vae.config.scaling_factor

    def draw_noise(self, keys: Sequence[str]) -> Tensor:
        """Noise (n, 2, C, h, w), for the latents' posterior and for the chain, by name.

        It is drawn on the CPU, where it is the same whatever the device of the model.
        """
        channels = self.unet.config.in_channels
        side = self.image_size // autoencoder.stride(self.vae)
        draws = Draws.named(keys, seed=self.seed)
        return draws.normal('noise', (len(keys), 2, channels, side, side))

    def forward(
        self,
        moments: Tensor,
        texts: Sequence[str],
        roots: Sequence[Root],
        size: tuple[int, int],
        noise: Tensor,
    ) -> Tensor:
        """Make the heat maps of sentences about one image.

        Args:
            moments: Of the image, from :meth:`encode_image`.
            texts: n sentences.
            roots: The root word of each.
            size: Height and width of the image.
            noise: For each sentence (n, 2, C, h, w), see :meth:`draw_noise`.

        Returns:
            (n, H, W) float64 in [0, 1), on the CPU.

        Raises:
            ValueError: The encoder cannot read a sentence.
            FloatingPointError: Some attention is not finite, as half precision can bring about.
        """
        for text in texts:
            check_sentence(self.tokenizer, text)
        tokens = torch.tensor(
            [
                token_position(self.tokenizer, text, root, match=self.match)
                for text, root in zip(texts, roots, strict=True)
            ]
        )
        heats = []
        for first in range(0, len(texts), self.max_sentences):
            some = slice(first, first + self.max_sentences)
            maps = self.attention_maps(moments, texts[some], tokens[some], noise[some])
            for text, own in zip(texts[some], maps, strict=True):
                if not own.isfinite().all():
                    raise FloatingPointError(
                        f'the attention to {text!r} is not finite: run in float32 or bfloat16'
                    )
                heats.append(picture_heat(own, *size, resize=self.resize))
        return torch.stack(heats)

    def attention_maps(
        self, moments: Tensor, texts: Sequence[str], tokens: Tensor, noise: Tensor
    ) -> Tensor:
        """Attention maps (n, M, g, g) of n sentences about an image, of all steps and layers.

        Args:
            moments: See :meth:`forward`.
            texts: n sentences.
            tokens: Position of the root word's last token in each (n,).
            noise: See :meth:`forward`.
        """
        device, n = moments.device, len(texts)
        mean, std = moments
        e1, e2 = noise.to(device).unbind(dim=1)  # (n, C, h, w) each
        z0 = mean + std * e1 if self.vae_mode == 'sample' else mean.expand_as(e1)
        z_t = self.scheduler.add_noise(z0, e2, self.noise_time)
        prompts = [text + self.prompt_suffix for text in texts]
        # without any guidance the half without a sentence is not run
        guided = self.guidance != 1 or self.attn_guidance is not None
        context = self.encode_prompts([''] * n * guided + prompts)  # (2 n, L, D): without, with
        tokens = tokens.to(device).repeat(1 + guided)

        enough = len(self.times) * len(self.layers)
        with capture_attention(
            self.layers, tokens, attn_type=self.attn_type, enough=enough
        ) as maps:
            for t in self.times:
                latents = z_t.to(self.unet.dtype).repeat(1 + guided, 1, 1, 1)
                eps = self.unet(latents, t.to(device), encoder_hidden_states=context).sample
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
        """Encoded texts (n, L, D), padded to the longest the encoder takes."""
        unique = list(dict.fromkeys(prompts))
        ids = self.tokenizer(
            unique, padding='max_length', truncation=True, return_tensors='pt'
        ).input_ids
        states = self.text_encoder(ids.to(self.unet.device)).last_hidden_state  # (m, L, D)
        return states[[unique.index(prompt) for prompt in prompts]]
