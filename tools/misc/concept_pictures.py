"""Draw the pictures of docs/concepts.md: noise on labels, and raters who disagree.

python tools/misc/concept_pictures.py --out docs/pictures
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.diffusion import (
    AnalogBitsEncoder,
    CosineLogSNR,
    Draws,
    UniformDiffusion,
    corrupt,
)
from mmdiffseg.engine import command_line
from mmdiffseg.visualization import label_overlay, panel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools/dataset_converters'))
from ambiguous_shapes import law  # noqa: E402
from shapes_world import CLASSES, paint, sample_scene  # noqa: E402

PALETTE = np.array(
    [[64, 70, 80], [225, 87, 89], [78, 121, 167], [242, 142, 43], [118, 183, 178], [89, 161, 79]]
    + [[176, 122, 161]],
    np.uint8,
)
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
T = 1000  # of the categorical schedule
SIZE = 96


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/pictures')
    parser.add_argument('--seed', type=int, default=3, help='(%(default)s)')
    return parser.parse_args()


def noise_page(labels: NDArray) -> NDArray:
    """One label map (H, W) at several times, with noise of two kinds; a page, uint8 RGB."""
    encoder = AnalogBitsEncoder(num_classes=len(CLASSES), scale=1.0)
    gaussian = CosineLogSNR()
    categorical = UniformDiffusion(
        num_classes=len(CLASSES), schedule=dict(type='CosineBetas', num_timesteps=T)
    )
    map_ = torch.from_numpy(labels.astype(np.int64))[None]
    x0 = encoder.encode(map_)[:, :3]  # three of the bits, shown as colours
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    draws = Draws.named(['labels'], seed=0)
    coins = categorical.draw_noise(draws, 'eps', map_.shape, None)
    above, below = {}, {}
    for time in TIMES:
        z_t = corrupt(x0, noise, *gaussian.alpha_sigma(torch.tensor([time])))
        pixels = (z_t[0].clamp(-2, 2) / 4 + 0.5).permute(1, 2, 0)
        above[f't = {time}'] = (255 * pixels).byte().numpy()
        # the schedule counts its steps from 0, and at its end nothing but noise is left
        t = torch.tensor([round(time * (T - 1))])
        noisy = categorical.corrupt(map_, t, coins)
        below[f't = {time}'] = PALETTE[noisy[0].numpy()]
    return np.concatenate([panel(above, cell_width=192), panel(below, cell_width=192)])


def raters_page(image: NDArray, maps: NDArray, weights: NDArray) -> NDArray:
    """A picture, its likeliest label maps, and the likeliest class of each pixel alone."""
    shares = np.stack([np.tensordot(weights, maps == k, 1) for k in range(len(CLASSES))])
    pictures = {'picture': image}
    for number in range(4):
        caption = f'rater {number + 1}, {100 * weights[number]:.0f} %'
        pictures[caption] = label_overlay(image, maps[number], PALETTE)
    pictures['each pixel by itself'] = label_overlay(image, shares.argmax(0), PALETTE)
    legend = {CLASSES[k]: PALETTE[k] for k in np.unique(maps)}
    return panel(pictures, cell_width=192, columns=3, legend=legend)


def main() -> None:
    """Draw both."""
    args = parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(args.seed)
    scene = sample_scene(rng, SIZE, SIZE, 4, 7, camouflage=0.1, distractors=0.0)
    painting = paint(scene, rng)
    modes = law(painting.instances, [shape.label for shape in scene.shapes])
    for name, page in (
        ('noise', noise_page(modes.maps[0])),
        ('raters', raters_page(painting.image, modes.maps, modes.weights)),
    ):
        path = args.out / f'concepts_{name}.png'
        Image.fromarray(page).quantize(128).save(path, optimize=True)
        print(path)


if __name__ == '__main__':
    command_line.run_script(main)
