"""Pictures of a bright square on a dark ground, and their masks, in folders of every kind."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope='session')
def draw():
    """Functions that draw squares, pictures, masks, and pairs of them."""
    return SimpleNamespace(square=square, image=image, mask=mask, pairs=pairs)


def square(number, size=(48, 48)):
    """Mask (H, W) bool of a square whose place depends on the number; size is (W, H)."""
    rng = np.random.default_rng(number)
    inside = np.zeros(size[::-1], dtype=bool)
    x, y = rng.integers(4, size[0] - 20), rng.integers(4, size[1] - 20)
    inside[y : y + 16, x : x + 16] = True
    return inside


def image(path, inside, seed=0):
    noise = np.random.default_rng(seed).integers(0, 30, (*inside.shape, 3))
    pixels = np.where(inside[..., None], 210, 40) + noise
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def mask(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def pairs(root, number, *, value=255, suffix='.png', size=(48, 48)):
    """Write pictures p0, p1, ... and binary masks of 0 and value; returns both folders."""
    for i in range(number):
        inside = square(i, size)
        image(root / f'images/p{i}{suffix}', inside, seed=i)
        mask(root / f'masks/p{i}.png', inside.astype(np.uint8) * value)
    return root / 'images', root / 'masks'
