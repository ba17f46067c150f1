"""Train the tiny text-to-image model: U-Net and text encoder together, on latents of the tiny VAE.

    python demo/tiny_world/scripts/train_text_to_image.py --out work_dirs/tiny_world

Beside predicting the noise, every cross-attention learns to find what a word means: its score
before the softmax is trained as the log-odds that a place belongs to one of the shapes that the
word names. Stable Diffusion learns that by itself; a model of this size does not. It hardly learns
outlines this way, so a head that is thrown away later names outline and colour of every place.

With `--init work_dirs/tiny_world` a longer training goes on from the weights of an earlier result.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from captions import Caption, build_tokenizer, draw_caption
from scenes import SIZE, TRAIN, Pool, paint_pool
from shapes_world import COLORS, OUTLINES
from training import Clock, cosine_lr, forget_sources, make_folders, name_tokenizers, parse_args

BATCH = 16
EMPTY = 0.1  # share of captions left out, for guidance
ATTENTION_WEIGHT = 0.5
CLEAR = 500  # times below: noisier latents hardly show the shapes


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


class Attentions:
    """What every cross-attention of a U-Net asks words about, for scores of words."""

    def __init__(self, unet: torch.nn.Module) -> None:
        self.layers = [m for name, m in unet.named_modules() if name.endswith('attn2')]
        self.places: dict[torch.nn.Module, torch.Tensor] = {}  # (B, Q, C) of the last call
        for layer in self.layers:
            layer.register_forward_pre_hook(self._keep)

    def _keep(self, layer: torch.nn.Module, args: tuple) -> None:
        self.places[layer] = args[0]

    def scores(self, words: torch.Tensor) -> list[torch.Tensor]:
        """Scores before the softmax, (B, L, Q) for each layer, averaged over the heads.

        Args:
            words: (B, L, C).
        """
        scores = []
        for layer in self.layers:
            query, key = layer.to_q(self.places[layer]), layer.to_k(words)
            scores.append(key @ query.mT * (layer.scale / layer.heads))
        return scores


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


class Labeler(torch.nn.Module):
    """Names the outline and the colour of every place, from what the U-Net makes its output of."""

    def __init__(self, unet: torch.nn.Module) -> None:
        super().__init__()
        classes = len(OUTLINES) + len(COLORS) + 2  # either may be none
        self.head = torch.nn.Conv2d(unet.conv_out.in_channels, classes, 1)
        unet.conv_out.register_forward_pre_hook(self._keep)

    def _keep(self, layer: torch.nn.Module, args: tuple) -> None:
        self.features = args[0]  # (B, C, h, w)

    def loss(self, scenes: Pool, counted: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, over scenes counted (B,) bool."""
        logits = self.head(self.features[counted])
        labels = draw_labels(scenes)[counted]  # (b, classes, 64, 64)
        goals = F.adaptive_avg_pool2d(labels, logits.shape[-2:])
        split = (len(OUTLINES) + 1, len(COLORS) + 1)
        pairs = zip(logits.split(split, dim=1), goals.split(split, dim=1), strict=True)
        return sum(F.cross_entropy(part, goal) for part, goal in pairs)


def draw_labels(scenes: Pool) -> torch.Tensor:
    """One-hot outline, none first, and one-hot colour, none first: (B, classes, 64, 64)."""
    outlines, colors = ('', *OUTLINES), ('', *COLORS)
    labels = torch.zeros(len(scenes), len(outlines) + len(colors), SIZE, SIZE)
    for index, things in enumerate(scenes.things):
        wall = scenes.instances[index] == 0
        labels[index, 0, wall] = labels[index, len(outlines), wall] = 1
        for thing, mask in zip(things, scenes.masks(index), strict=True):
            labels[index, outlines.index(thing.shape), mask] = 1
            labels[index, len(outlines) + colors.index(thing.color), mask] = 1
    return labels


def attention_loss(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus Dice loss of scores as log-odds of the masks.

    Args:
        scores: (pairs, Q).
        targets: (pairs, 64, 64) in [0, 1].
    """
    side = int(scores.shape[1] ** 0.5)
    goal = F.adaptive_avg_pool2d(targets, side).flatten(1)  # (pairs, Q)
    cross_entropy = F.binary_cross_entropy_with_logits(scores, goal)
    found = scores.sigmoid()
    overlap = (2 * (found * goal).sum(1) + 1) / (found.sum(1) + goal.sum(1) + 1)
    return cross_entropy + 1 - overlap.mean()


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

    args = parse_args(__doc__, iters=2500, scenes=3000, init=True)
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
    attentions = Attentions(unet)
    labeler = Labeler(unet)
    parameters = [p for m in (unet, text_encoder, labeler) for p in m.parameters()]
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
        t = (1000 * torch.rand(BATCH) ** 3).long()
        eps = torch.randn_like(z0)
        z_t = scheduler.add_noise(z0, eps, t)
        words = text_encoder(tokens).last_hidden_state  # (B, 32, 64)
        eps_loss = F.mse_loss(unet(z_t, t, words).sample, eps)

        clear = t < CLEAR
        places, meanings = collect_meanings(captions, scenes)
        seen = [k for k, (row, _) in enumerate(places) if clear[row]]
        rows, positions = map(list, zip(*[places[k] for k in seen], strict=True))
        layers = attentions.scores(words)
        attention = sum(
            attention_loss(scores[rows, positions], meanings[seen]) for scores in layers
        )
        attention = attention / len(layers)
        labels = labeler.loss(scenes, clear)
        loss = eps_loss + ATTENTION_WEIGHT * attention + labels
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        clock.tick(step, eps=eps_loss, attention=attention, labels=labels)

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
