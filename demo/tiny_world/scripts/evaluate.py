"""Measure what the tiny world can do, on scenes that it has not seen.

    python demo/tiny_world/scripts/evaluate.py demo/tiny_world

Prints how well pictures and pseudo masks survive the VAE, and for each kind of expression whether
attention and CLIP choose the right one of the true masks, and the IoU of the attention cut at half
of its range. Chance is the share that a random choice gets.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scenes import SIZE, VAL, Pool, paint_pool
from shapes_language import KINDS, expressions
from train_clip import hard_features, load_clip, soft_features, text_features
from train_text_to_image import Attentions
from train_vae import MASK_ALPHAS, pseudo_masks

GUIDANCE = 9
T = 51  # a step of Ref-Diff


def load_diffusion(folder: Path):
    """The StableDiffusionPipeline of a folder, in float32."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def vae_quality(vae: torch.nn.Module, scenes: Pool) -> dict[str, float]:
    """PSNR of pictures in dB, and IoU of pseudo masks of one shape, at both alphas."""
    x = scenes.x()
    recon = vae.decode(vae.encode(x).latent_dist.mode()).sample
    error = F.mse_loss(recon.clamp(-1, 1), x, reduction='none').mean((1, 2, 3))
    result = dict(psnr=(10 * torch.log10(4 / error)).mean().item())
    masks = torch.stack([scenes.masks(index)[0] for index in range(len(scenes))])
    for mask_alpha in MASK_ALPHAS:
        painted = pseudo_masks(x, masks, mask_alpha)
        seen = vae.decode(vae.encode(painted).latent_dist.mode()).sample - mask_alpha * x
        found = seen[:, 1] > seen[:, 0]
        result[f'mask_iou_{mask_alpha}'] = iou(found, masks).mean().item()
    return result


def iou(found: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Intersection over union of (B, H, W) bool masks, (B,)."""
    return (found & masks).sum((1, 2)) / (found | masks).sum((1, 2)).clamp(min=1)


def root_position(sentence: str) -> int:
    """Where the noun of 'the [largest] [color] noun ...' is, in tokens after the start."""
    words = sentence.split()
    for end, word in enumerate(words):
        if word in ('on', 'at', 'next'):
            return end
    return len(words)


@torch.no_grad()
def attention_maps(
    pipeline, attentions: Attentions, x: torch.Tensor, sentences: list[str], side: int = 16
) -> torch.Tensor:
    """Where the nouns of sentences about one picture are, as Ref-Diff reads it at one step.

    Args:
        pipeline: StableDiffusionPipeline.
        attentions: Those of its U-Net.
        x: The picture, (3, 64, 64) in [-1, 1].
        sentences: N of them.
        side: Of the grid of the cross-attentions to read, 16 or 8.

    Returns:
        (N, 64, 64) in [0, 1].
    """
    count = len(sentences)
    generator = torch.Generator().manual_seed(0)
    z0 = pipeline.vae.encode(x[None]).latent_dist.mode() * pipeline.vae.config.scaling_factor
    eps = torch.randn(z0.shape, generator=generator)
    z_t = pipeline.scheduler.add_noise(z0, eps, torch.tensor([T]))  # (1, 4, 16, 16)
    tokens = pipeline.tokenizer(['', *sentences], padding='max_length', return_tensors='pt')
    words = pipeline.text_encoder(tokens.input_ids).last_hidden_state  # (1 + N, 32, 64)
    pipeline.unet(z_t.expand(count + 1, -1, -1, -1), T, words)
    rows = torch.arange(1, count + 1)
    positions = torch.tensor([root_position(sentence) for sentence in sentences])
    maps = []
    for scores in attentions.scores(words):  # (1 + N, 32, side * side)
        if scores.shape[2] == side**2:
            without, named = scores[0, positions], scores[rows, positions]  # (N, side * side)
            guided = without + GUIDANCE * (named - without)
            low, high = guided.amin(1, keepdim=True), guided.amax(1, keepdim=True)
            maps.append((guided - low) / (high - low))
    mean = torch.stack(maps).mean(0).unflatten(1, (side, side))
    large = F.interpolate(mean[:, None], (SIZE, SIZE), mode='bilinear')[:, 0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    return (large - low) / (high - low)


def contrast_scores(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean inside minus mean outside: (N, H, W) maps and (M, H, W) masks to (N, M)."""
    flat, inside = maps.flatten(1), masks.flatten(1).float()
    total, area = flat.sum(1, keepdim=True), inside.sum(1)
    within = flat @ inside.T
    return within / area - (total - within) / (inside.shape[1] - area)


@torch.no_grad()
def clip_scores(clip, tokenizer, image: torch.Tensor, masks: torch.Tensor, sentences: list[str]):
    """Ref-Diff's discriminative score, hard and soft view: two of (sentences, masks)."""
    images = image.expand(len(masks), -1, -1, -1)
    text = F.normalize(text_features(clip, tokenizer, sentences), dim=1)
    hard = F.normalize(hard_features(clip, images, masks), dim=1)
    soft = F.normalize(soft_features(clip, images, masks), dim=1)
    return text @ hard.T, text @ soft.T


def measure_expressions(folder: Path, scenes: Pool) -> dict[str, dict[str, float]]:
    """For each kind, means over its sentences; a kind is {name of a figure: value}."""
    pipeline, (clip, clip_tokenizer) = load_diffusion(folder), load_clip(folder)
    attentions = Attentions(pipeline.unet)
    figures = defaultdict(lambda: defaultdict(list))
    x = scenes.x()
    for index, things in enumerate(scenes.things):
        found = expressions(things, SIZE, SIZE)
        said = [(*pair, number) for number, pairs in enumerate(found) for pair in pairs]
        kinds, sentences, numbers = zip(*said, strict=True)
        masks, answers = scenes.masks(index), torch.tensor(numbers)
        hard, soft = clip_scores(clip, clip_tokenizer, scenes.images[index], masks, sentences)
        scores = {'clip': 0.7 * hard + 0.3 * soft, 'clip hard': hard, 'clip soft': soft}
        columns = dict(chance=torch.full((len(said),), 1 / len(masks)))
        for side in (16, 8):
            maps = attention_maps(pipeline, attentions, x[index], sentences, side)
            scores[f'attention {side}'] = contrast_scores(maps, masks)
            columns[f'mIoU {side}'] = iou(maps > 0.5, masks[answers])
        for name, table in scores.items():
            columns[name] = (table.argmax(1) == answers).float()
        for row, kind in enumerate(kinds):
            for name, column in columns.items():
                figures[kind][name].append(column[row].item())
    return {
        kind: {name: float(np.mean(values)) for name, values in figures[kind].items()}
        | dict(sentences=len(figures[kind]['chance']))
        for kind in KINDS
    }


def main() -> None:
    """Measure and print."""
    from diffusers import AutoencoderKL

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path)
    parser.add_argument('--scenes', type=int, default=60, help='%(default)s')
    args = parser.parse_args()
    count = (args.scenes + 1) // 2
    scenes = paint_pool(count, VAL)
    vae = AutoencoderKL.from_pretrained(args.folder / 'vae', torch_dtype=torch.float32)
    print(
        'VAE:', ', '.join(f'{k} {v:.3f}' for k, v in vae_quality(vae, scenes).items()), flush=True
    )
    rows = measure_expressions(args.folder, scenes.take(np.arange(count)))
    names = list(next(iter(rows.values())))
    print('| kind | ' + ' | '.join(names) + ' |')
    print('|---' * (len(names) + 1) + '|')
    for kind, row in rows.items():
        values = [f'{row[n]:.0f}' if n == 'sentences' else f'{row[n]:.3f}' for n in names]
        print(f'| {kind} | ' + ' | '.join(values) + ' |')


if __name__ == '__main__':
    main()
