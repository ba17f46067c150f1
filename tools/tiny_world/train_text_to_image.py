"""Train the tiny text-to-image model: U-Net and text encoder together, on latents of the tiny VAE.

    python tools/tiny_world/train_text_to_image.py --out work_dirs/tiny_world

Beside predicting the noise, every cross-attention learns to find what a word means: its score
before the softmax is trained as the log-odds that a place belongs to one of the shapes that the
word names. Stable Diffusion comes to that by itself; a model of this size does not.

With `--init work_dirs/tiny_world` a longer training goes on from the weights of an earlier result.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from captions import Caption, build_tokenizer, draw_caption
from scenes import TRAIN, Pool, paint_pool
from training import Clock, cosine_lr, forget_sources, make_folders, name_tokenizers, parse_args

BATCH = 16
EMPTY = 0.1  # share of captions left out, for guidance
ATTENTION_WEIGHT = 0.5
ATTENTION_MAX_T = 700  # noisier latents do not show the shapes


def build_models(tokenizer) -> tuple[torch.nn.Module, torch.nn.Module]:
    """U-Net (2.1 M parameters) and text encoder (0.1 M)."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 96),
        # Words meet features that have seen their surroundings: not in the first block.
        down_block_types=('DownBlock2D', 'CrossAttnDownBlock2D'),
        up_block_types=('CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,  # the number of heads, as in Stable Diffusion
        norm_num_groups=8,
    )
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return unet, CLIPTextModel(text)


def load_models(folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """U-Net and text encoder of a Stable Diffusion folder, to train on."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(folder / 'unet', torch_dtype=torch.float32)
    text_encoder = CLIPTextModel.from_pretrained(folder / 'text_encoder', dtype=torch.float32)
    return unet.train(), text_encoder.train()


def build_scheduler():
    """The schedule of Stable Diffusion 1."""
    from diffusers import PNDMScheduler

    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule='scaled_linear',
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class RecordScores:
    """Attention processor that keeps the scores before the softmax, averaged over the heads."""

    def __call__(
        self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None
    ) -> torch.Tensor:
        """Attend as diffusers does, without a mask."""
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))  # (B heads, Q, d)
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))  # (B heads, L, d)
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        scores = query @ key.transpose(1, 2) * attn.scale  # (B heads, Q, L)
        self.scores = scores.unflatten(0, (-1, attn.heads)).mean(1)  # (B, Q, L)
        out = attn.batch_to_head_dim(scores.softmax(-1) @ value)  # (B, Q, C)
        return attn.to_out[1](attn.to_out[0](out))


def record_scores(unet: torch.nn.Module) -> list[RecordScores]:
    """Make every cross-attention of a U-Net keep its scores."""
    recorders = []
    for name, module in unet.named_modules():
        if name.endswith('attn2'):
            recorders.append(RecordScores())
            module.set_processor(recorders[-1])
    return recorders


def collect_meanings(
    captions: list[Caption], scenes: Pool
) -> tuple[list[tuple[int, int]], torch.Tensor]:
    """What the words of a batch mean: (scene, token) pairs and (pairs, 64, 64) masks in [0, 1].

    Captions left out mean nothing: their first tokens get empty masks.
    """
    places, targets = [], []
    for index, caption in enumerate(captions):
        masks = scenes.masks(index).float()
        for position, numbers in caption.meant.items():
            places.append((index, position + 1))  # the start token comes first
            targets.append(masks[numbers].amax(0))
        if not caption.words:
            places += [(index, position) for position in range(1, 5)]
            targets += [torch.zeros_like(masks[0])] * 4
    return places, torch.stack(targets)


def attention_loss(
    recorders: list[RecordScores], places: list[tuple[int, int]], targets: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy plus Dice loss of every layer's scores as log-odds of the masks."""
    rows, tokens = map(list, zip(*places, strict=True))
    losses = []
    for recorder in recorders:
        scores = recorder.scores[rows, :, tokens]  # (pairs, Q)
        side = int(scores.shape[1] ** 0.5)
        goal = F.adaptive_avg_pool2d(targets, side).flatten(1)  # (pairs, Q)
        cross_entropy = F.binary_cross_entropy_with_logits(scores, goal)
        found = scores.sigmoid()
        overlap = (2 * (found * goal).sum(1) + 1) / (found.sum(1) + goal.sum(1) + 1)
        losses.append(cross_entropy + 1 - overlap.mean())
    return torch.stack(losses).mean()


@torch.no_grad()
def encode(vae: torch.nn.Module, pool: Pool) -> torch.Tensor:
    """Latents of a pool, (N, 4, 16, 16) with unit variance."""
    latents = []
    for start in range(0, len(pool), 32):
        x = pool.take(np.arange(start, min(start + 32, len(pool)))).x()
        latents.append(vae.encode(x).latent_dist.mode() * vae.config.scaling_factor)
    return torch.cat(latents)


def main() -> None:
    """Train and save a Stable Diffusion folder."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline

    args = parse_args(__doc__, iters=2000, scenes=2000, init=True)
    if args.init:
        unet, text_encoder = load_models(args.init)
    make_folders(args.out, ('unet', 'text_encoder', 'tokenizer', 'scheduler'), args.overwrite)
    if not (args.out / 'vae').is_dir():
        sys.exit(f'{args.out / "vae"} is missing: run train_vae.py --out {args.out} first')
    vae = AutoencoderKL.from_pretrained(args.out / 'vae').float().eval()
    rng = np.random.default_rng(args.seed)
    pool = paint_pool(args.scenes, TRAIN, args.seed)
    latents = encode(vae, pool)

    tokenizer = build_tokenizer()
    if not args.init:
        unet, text_encoder = build_models(tokenizer)
    scheduler = build_scheduler()
    processors = unet.attn_processors
    recorders = record_scores(unet)
    parameters = [*unet.parameters(), *text_encoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-2)
    schedule = cosine_lr(optimizer, args.iters)
    clock = Clock(args.iters)
    for step in range(args.iters):
        picks = rng.integers(len(pool), size=BATCH)
        scenes, z0 = pool.take(picks), latents[picks]  # z0: (B, 4, 16, 16)
        captions = [
            Caption() if rng.random() < EMPTY else draw_caption(things, rng)
            for things in scenes.things
        ]
        sentences = [' '.join(caption.words) for caption in captions]
        tokens = tokenizer(sentences, padding='max_length', return_tensors='pt').input_ids
        # More of the little noise in which shapes can be seen.
        t = (1000 * torch.rand(BATCH) ** 1.5).long()
        eps = torch.randn_like(z0)
        z_t = scheduler.add_noise(z0, eps, t)
        words = text_encoder(tokens).last_hidden_state  # (B, 32, 64)
        eps_loss = F.mse_loss(unet(z_t, t, words).sample, eps)
        places, targets = collect_meanings(captions, scenes)
        clear = [k for k, (row, _) in enumerate(places) if t[row] < ATTENTION_MAX_T]
        attention = attention_loss(recorders, [places[k] for k in clear], targets[clear])
        loss = eps_loss + ATTENTION_WEIGHT * attention
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        clock.tick(step, eps=eps_loss, attention=attention)

    unet.set_attn_processor(processors)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(args.out)
    name_tokenizers(args.out)
    forget_sources(args.out)


if __name__ == '__main__':
    main()
