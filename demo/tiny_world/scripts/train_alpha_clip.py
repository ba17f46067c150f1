"""Train the tiny Alpha-CLIP: the vision tower of the tiny CLIP, shown also which shape is meant.

    python demo/tiny_world/scripts/train_alpha_clip.py --out work_dirs/tiny_world

A fourth channel of the picture holds the mask of one shape. The class token and every patch that
the shape touches learn its names against all other names, as CLIP's text tower encodes them.
Ref LDM-Seg takes these patches for prompts.
"""

from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scenes import TRAIN, paint_pool
from shapes_language import NOUN
from shapes_world import COLORS, OUTLINES
from train_clip import GRID, MEAN, STD, draw_shapes, load_clip, text_features
from training import Clock, cosine_lr, make_folders, parse_args

ALPHA_MEAN, ALPHA_STD = 0.5, 0.26  # of Alpha-CLIP
VOCABULARIES = (
    list(OUTLINES),
    [f'{color} {NOUN}' for color in COLORS],
    [f'{color} {shape}' for color, shape in product(COLORS, OUTLINES)],
)


def add_alpha(clip: torch.nn.Module) -> None:
    """Let a CLIPModel's vision tower take a fourth channel, which changes nothing yet."""
    old = clip.vision_model.embeddings.patch_embedding
    new = torch.nn.Conv2d(4, old.out_channels, old.kernel_size, old.stride, bias=False)
    new.weight.data = torch.cat([old.weight.data, torch.zeros_like(old.weight.data[:, :1])], dim=1)
    clip.vision_model.embeddings.patch_embedding = new
    clip.config.vision_config.num_channels = 4


def token_features(
    clip: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of all tokens, class token first, and the weights of those that show the shape.

    Args:
        clip: CLIPModel whose vision tower takes four channels.
        images: (B, 3, 64, 64) uint8.
        masks: (B, 64, 64) bool, none empty.

    Returns:
        (B, 65, projection), not normalised, and (B, 65): half for the class token, the other half
        spread over the patches that the shape touches.
    """
    alpha = (masks[:, None].float() - ALPHA_MEAN) / ALPHA_STD
    x = torch.cat([(images / 255 - MEAN) / STD, alpha], dim=1)  # (B, 4, 64, 64)
    tokens = clip.vision_model(x).last_hidden_state
    features = clip.visual_projection(clip.vision_model.post_layernorm(tokens))
    cells = F.adaptive_max_pool2d(masks[:, None].float(), GRID).flatten(1)  # (B, 64)
    cells = cells / cells.sum(1, keepdim=True)
    return features, torch.cat([torch.ones_like(cells[:, :1]), cells], dim=1) / 2


def main() -> None:
    """Train and save."""
    args = parse_args(__doc__, iters=1500, scenes=3000)
    clip, tokenizer = load_clip(args.out)
    (folder,) = make_folders(args.out, ('alpha_clip',), args.overwrite)
    rng = np.random.default_rng(args.seed)
    pool = paint_pool(args.scenes, TRAIN, args.seed)
    with torch.no_grad():
        names = [text_features(clip, tokenizer, words) for words in VOCABULARIES]
    names = [F.normalize(features, dim=1) for features in names]
    add_alpha(clip)
    trained = [clip.vision_model, clip.visual_projection]
    parameters = [clip.logit_scale, *(p for module in trained for p in module.parameters())]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
    schedule = cosine_lr(optimizer, args.iters)
    clock = Clock(args.iters)
    for step in range(args.iters):
        images, masks, things = draw_shapes(pool, rng)
        features, weights = token_features(clip, images, masks)  # (B, 65, 64) and (B, 65)
        features = F.normalize(features, dim=2)
        losses = []
        for words, vocabulary in zip(names, VOCABULARIES, strict=True):
            fits = torch.tensor([[thing.fits(word) for word in vocabulary] for thing in things])
            right = fits.int().argmax(1)  # (B,), each shape has one name of a vocabulary
            logits = (clip.logit_scale.exp() * features @ words.T).flatten(0, 1)  # (B 65, names)
            loss = F.cross_entropy(logits, right.repeat_interleave(65), reduction='none')
            losses.append((loss * weights.flatten()).sum() / len(weights))
        outline, color, both = losses
        optimizer.zero_grad(set_to_none=True)
        (outline + color + both).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        clip.logit_scale.data.clamp_(max=np.log(100))  # as CLIP does
        clock.tick(step, outline=outline, color=color, both=both)
    save_tower(clip, folder)


def save_tower(clip: torch.nn.Module, folder: Path) -> None:
    """Save the vision tower of a CLIPModel as a CLIPVisionModel."""
    from transformers import CLIPVisionModel

    tower = CLIPVisionModel(clip.config.vision_config)
    # transformers < 5 wraps the tower once more
    getattr(tower, 'vision_model', tower).load_state_dict(clip.vision_model.state_dict())
    tower.half().save_pretrained(folder)


if __name__ == '__main__':
    main()
