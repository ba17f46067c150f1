"""Train the tiny CLIP on shapes and their names.

    python demo/tiny_world/scripts/train_clip.py --out work_dirs/tiny_world

Half of the shapes are shown as Ref-Diff's hard view, cut out on black, half as its soft view, the
whole picture of which the class token sees one shape. The mean of a shape's patches is compared
with its name as well: Alpha-CLIP starts from these patches, which would otherwise know colours but
no shapes. A name may fit several shapes of a batch: all of these count as positives.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from captions import article, build_tokenizer, draw_phrase, draw_suffix
from scenes import SIZE, TRAIN, Pool, paint_pool
from shapes_language import Thing
from training import Clock, cosine_lr, make_folders, name_tokenizers, parse_args

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 64
PATCH = 8
GRID = SIZE // PATCH
MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073))[:, None, None]  # of CLIP
STD = torch.tensor((0.26862954, 0.26130258, 0.27577711))[:, None, None]
HARD_SIZES = ((64, 64), (64, 96), (96, 64))  # (h, w): the short side is 64 as in Ref-Diff


def build_clip(tokenizer) -> torch.nn.Module:
    """A CLIPModel of 0.7 M parameters."""
    from transformers import CLIPConfig, CLIPModel

    text = dict(
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
    vision = dict(
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
    )
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


def load_clip(root: Path) -> tuple[torch.nn.Module, PreTrainedTokenizerBase]:
    """CLIPModel and tokenizer of the folder `clip` of a tiny world, in float32."""
    from transformers import AutoTokenizer, CLIPModel

    if not (root / 'clip').is_dir():
        sys.exit(f'{root / "clip"} is missing: run train_clip.py --out {root} first')
    clip = CLIPModel.from_pretrained(root / 'clip', dtype=torch.float32)
    return clip, AutoTokenizer.from_pretrained(root / 'clip')


def hard_features(clip: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Features of shapes cut out on black.

    Args:
        clip: CLIPModel.
        images: (B, 3, 64, 64) uint8.
        masks: (B, 64, 64) bool, none empty.

    Returns:
        (B, projection), not normalised.
    """
    groups = {size: [] for size in HARD_SIZES}
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = np.s_[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        cut = (image * mask)[box][None] / 255  # (1, 3, h, w)
        stretch = np.log(cut.shape[2] / cut.shape[3])
        size = min(HARD_SIZES, key=lambda size: abs(np.log(size[0] / size[1]) - stretch))
        view = F.interpolate(cut, size, mode='bilinear', antialias=True, align_corners=False)
        groups[size].append((index, (view[0] - MEAN) / STD))
    features = images.new_empty(len(images), clip.config.projection_dim, dtype=torch.float32)
    for members in groups.values():
        if members:
            indices, views = zip(*members, strict=True)
            out = clip.get_image_features(torch.stack(views), interpolate_pos_encoding=True)
            features[list(indices)] = out.pooler_output
    return features


def soft_features(clip: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Features of shapes within their pictures: the class token sees the patches of the shape.

    Patches see all patches and not the class token. Arguments and result as of `hard_features`.
    """
    cells = F.interpolate(masks[:, None].float(), (GRID, GRID)).flatten(1).bool()  # (B, 64)
    allowed = torch.ones(len(masks), 1, GRID**2 + 1, GRID**2 + 1, dtype=torch.bool)
    allowed[:, 0, 0, 1:] = cells
    allowed[:, 0, 1:, 0] = False
    bias = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    x = (images / 255 - MEAN) / STD
    return clip.get_image_features(x, attention_mask=bias).pooler_output


def patch_features(
    clip: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor
) -> torch.Tensor:
    """Features of the patches that shapes touch, in the mean, within their pictures.

    Arguments and result as of `hard_features`.
    """
    cells = F.adaptive_max_pool2d(masks[:, None].float(), GRID).flatten(1)  # (B, 64)
    x = (images / 255 - MEAN) / STD
    patches = clip.vision_model(x).last_hidden_state[:, 1:]  # (B, 64, hidden)
    mean = (patches * cells[..., None]).sum(1) / cells.sum(1, keepdim=True)
    return clip.visual_projection(clip.vision_model.post_layernorm(mean))


def text_features(clip: torch.nn.Module, tokenizer, sentences: list[str]) -> torch.Tensor:
    """Features of sentences, (B, projection), not normalised."""
    tokens = tokenizer(sentences, padding='max_length', return_tensors='pt')
    return clip.get_text_features(tokens.input_ids).pooler_output


def contrast(image: torch.Tensor, text: torch.Tensor, fits: torch.Tensor, scale: torch.Tensor):
    """CLIP's loss where several texts fit an image: `fits` is (images, texts) bool."""
    logits = scale.exp() * F.normalize(image, dim=1) @ F.normalize(text, dim=1).T
    targets = fits.float()
    by_image = F.cross_entropy(logits, targets / targets.sum(1, keepdim=True))
    by_text = F.cross_entropy(logits.T, (targets / targets.sum(0)).T)
    return (by_image + by_text) / 2


def draw_shapes(
    pool: Pool, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, list[Thing]]:
    """A random shape from each of a batch of scenes: images, masks, things."""
    scenes = pool.take(rng.integers(len(pool), size=BATCH))
    numbers = [int(rng.integers(len(things))) for things in scenes.things]
    masks = torch.stack([scenes.masks(k)[number] for k, number in enumerate(numbers)])
    things = [things[number] for things, number in zip(scenes.things, numbers, strict=True)]
    return scenes.images, masks, things


def main() -> None:
    """Train and save."""
    args = parse_args(__doc__, iters=900, scenes=2000)
    (folder,) = make_folders(args.out, ('clip',), args.overwrite)
    rng = np.random.default_rng(args.seed)
    pool = paint_pool(args.scenes, TRAIN, args.seed)
    tokenizer = build_tokenizer()
    clip = build_clip(tokenizer)
    optimizer = torch.optim.AdamW(clip.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = cosine_lr(optimizer, args.iters)
    clock = Clock(args.iters)
    half = BATCH // 2
    for step in range(args.iters):
        images, masks, things = draw_shapes(pool, rng)
        phrases = [draw_phrase(thing, rng) for thing in things]
        fits = torch.tensor([[thing.fits(phrase) for phrase in phrases] for thing in things])
        sentences = [
            f'{article(phrase, rng)} {phrase}'
            + (f' {draw_suffix(thing, rng)}' if rng.random() < 0.2 else '')
            for phrase, thing in zip(phrases, things, strict=True)
        ]
        text = text_features(clip, tokenizer, sentences)  # (B, 64)
        hard = hard_features(clip, images[:half], masks[:half])  # (B / 2, 64)
        soft = soft_features(clip, images[half:], masks[half:])  # (B / 2, 64)
        whole = contrast(torch.cat([hard, soft]), text, fits, clip.logit_scale)
        patches = patch_features(clip, images, masks)  # (B, 64)
        loss = whole + contrast(patches, text, fits, clip.logit_scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        clip.logit_scale.data.clamp_(max=np.log(100))  # as CLIP does
        clock.tick(step, whole=whole, patches=loss - whole)
    clip.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_processor(folder)
    name_tokenizers(args.out)


def save_processor(folder) -> None:
    """Save how pictures are prepared."""
    from transformers import CLIPImageProcessor

    sides = dict(height=SIZE, width=SIZE)
    CLIPImageProcessor(size=dict(shortest_edge=SIZE), crop_size=sides).save_pretrained(folder)


if __name__ == '__main__':
    main()
