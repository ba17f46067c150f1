"""Draw what the tiny world does: pictures it makes, and where it finds words in pictures.

python demo/tiny_world/scripts/draw.py demo/tiny_world --out docs/tiny_world.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from evaluate import attention_maps, load_diffusion
from PIL import Image
from scenes import VAL, paint_pool
from train_text_to_image import Attentions

PROMPTS = (
    'a red circle',
    'a blue star',
    'a green square and a yellow ring',
    'an orange triangle and a teal ellipse',
    'a purple star and a pink circle',
    'the yellow triangle on the left',
)
SCENES = 6
ZOOM = 2
TITLE = 16  # pixels above a picture


def label(image: np.ndarray, title: str) -> np.ndarray:
    """A picture (64, 64, 3) in RGB, enlarged and under a title, which may take two lines."""
    large = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)
    tile = np.full((2 * TITLE + large.shape[0] + 6, large.shape[1] + 6, 3), 255, np.uint8)
    tile[2 * TITLE : -6, 3:-3] = large
    words = title.split()
    half = len(words) if len(title) < 20 else (len(words) + 1) // 2
    for line, part in enumerate((words[:half], words[half:])):
        place = (3, 12 + 14 * line)
        cv2.putText(tile, ' '.join(part), place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 0, 1, cv2.LINE_AA)
    return tile


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map in [0, 1] over a darkened picture, both in RGB."""
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return (0.35 * image + 0.65 * colours).astype(np.uint8)


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path)
    parser.add_argument('--out', type=Path, required=True, help='picture to write')
    args = parser.parse_args()
    pipeline = load_diffusion(args.folder)
    generator = torch.Generator().manual_seed(0)
    made = pipeline(
        list(PROMPTS),
        num_inference_steps=30,
        guidance_scale=3,
        generator=generator,
        output_type='np',
    ).images
    rows = [[label((255 * m).astype(np.uint8), p) for m, p in zip(made, PROMPTS, strict=True)]]

    scenes = paint_pool(SCENES, VAL)
    attentions = Attentions(pipeline.unet)
    columns = []
    for index in range(SCENES):
        image = scenes.images[index].permute(1, 2, 0).numpy()
        thing = scenes.things[index][0]
        phrases = [f'the {phrase}' for phrase in thing.phrases[1:]]
        with torch.no_grad():
            maps = attention_maps(pipeline, attentions, scenes.x()[index], phrases).numpy()
        tiles = [label(overlay(image, m), p) for m, p in zip(maps, phrases, strict=True)]
        columns.append([label(image, ''), *tiles])
    rows += zip(*columns, strict=True)
    sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    Image.fromarray(sheet).quantize(128).save(args.out, optimize=True)  # a tenth of the bytes


if __name__ == '__main__':
    main()
