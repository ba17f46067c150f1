"""Train the tiny VAE: 64 x 64 pictures to 16 x 16 latents of 4 channels and back.

    python demo/tiny_world/scripts/train_vae.py --out work_dirs/tiny_world

Three of eight training pictures are pseudo masks, as Ref LDM-Seg paints them, so that these survive
the round trip too.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scenes import TRAIN, Pool, paint_pool
from training import Clock, cosine_lr, make_folders, parse_args

BATCH, MASKS = 8, 3  # training pictures in a batch, and how many of them are pseudo masks
KL_WEIGHT = 1e-6  # a value of Stable Diffusion
BACKGROUND, FOREGROUND = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])  # pseudo-mask colours
MASK_ALPHAS = (0.0, 0.4)  # share of the picture in a pseudo mask: vanilla, augmented


def build_vae() -> torch.nn.Module:
    """An AutoencoderKL of 0.68 M parameters that divides lengths by 4."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=('DownEncoderBlock2D',) * 3,
        up_block_types=('UpDecoderBlock2D',) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )


def pseudo_masks(x: torch.Tensor, masks: torch.Tensor, mask_alpha: float) -> torch.Tensor:
    """Paint masks as pictures: (1 - mask_alpha) * colours + mask_alpha * x.

    Args:
        x: Pictures, (B, 3, H, W) in [-1, 1].
        masks: (B, H, W) bool.
        mask_alpha: Share of the pictures in the result, in [0, 1].

    Returns:
        (B, 3, H, W) in [-1, 1].
    """
    colours = torch.where(masks[:, None], FOREGROUND[:, None, None], BACKGROUND[:, None, None])
    return (1 - mask_alpha) * colours + mask_alpha * x


def draw_batch(pool: Pool, rng: np.random.Generator) -> torch.Tensor:
    """Pictures, and pseudo masks of a random subset of the shapes of others, (B, 3, 64, 64)."""
    scenes = pool.take(rng.integers(len(pool), size=BATCH))
    x = scenes.x()
    for index in range(MASKS):
        masks = scenes.masks(index)
        chosen = torch.from_numpy(rng.random(len(masks)) < 0.5)
        mask = masks[chosen].any(0, keepdim=True)
        x[index] = pseudo_masks(x[index : index + 1], mask, float(rng.choice(MASK_ALPHAS)))[0]
    return x


def main() -> None:
    """Train and save."""
    args = parse_args(__doc__, iters=1500, scenes=6000)
    (folder,) = make_folders(args.out, ('vae',), args.overwrite)
    rng = np.random.default_rng(args.seed)
    pool = paint_pool(args.scenes, TRAIN, args.seed)
    vae = build_vae().to(memory_format=torch.channels_last)  # faster on a CPU
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = cosine_lr(optimizer, args.iters)
    clock = Clock(args.iters)
    for step in range(args.iters):
        x = draw_batch(pool, rng)  # (B, 3, 64, 64)
        posterior = vae.encode(x).latent_dist
        recon = vae.decode(posterior.sample()).sample
        l1, mse = F.l1_loss(recon, x), F.mse_loss(recon, x)
        kl = posterior.kl().mean()  # summed over the latent
        loss = l1 + mse + KL_WEIGHT * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        clock.tick(step, l1=l1, kl=kl)
    vae.register_to_config(scaling_factor=1 / latent_std(vae.eval(), pool))
    vae.half().save_pretrained(folder)


@torch.no_grad()
def latent_std(vae: torch.nn.Module, pool: Pool) -> float:
    """Standard deviation of the latents of some pictures: divided by it they have variance 1."""
    x = pool.take(np.arange(min(len(pool), 256))).x()
    return vae.encode(x).latent_dist.mode().std().item()


if __name__ == '__main__':
    main()
