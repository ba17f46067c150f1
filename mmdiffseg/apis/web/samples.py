"""Sample pictures for the page: photographs that scikit-image brings along, and one drawn here."""

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

#: file in scikit-image, and side of the central square that is shown, by the name on the page
PHOTOGRAPHS = {
    'stained tissue': ('ihc.png', 256),
    'cell': ('cell.png', 512),
    'retina': ('retina.jpg', 1400),
    'coins': ('coins.png', 300),
    'cat': ('chelsea.png', 300),
    'coffee': ('coffee.png', 400),
}
DRAWN = 'drawn cells'
LONGEST = 320


@cache
def sample_names() -> tuple[str, ...]:
    """Names of the pictures that are there."""
    return (*(name for name in PHOTOGRAPHS if _photograph(name)), DRAWN)


@cache
def sample_png(name: str) -> bytes:
    """A sample picture as a PNG of at most ``LONGEST`` pixels a side.

    Raises:
        KeyError: There is none of this name.
    """
    if name == DRAWN:
        picture = _draw_cells()
    else:
        path = _photograph(name)
        if path is None:
            raise KeyError(name)
        with Image.open(path) as image:
            picture = _central(image.convert('RGB'), PHOTOGRAPHS[name][1])
    picture.thumbnail((LONGEST, LONGEST))
    stream = io.BytesIO()
    picture.save(stream, 'PNG')
    return stream.getvalue()


def _photograph(name: str) -> Path | None:
    spec = find_spec('skimage')
    if name not in PHOTOGRAPHS or spec is None:
        return None
    path = Path(spec.origin).parent / 'data' / PHOTOGRAPHS[name][0]
    return path if path.is_file() else None


def _central(image: Image.Image, side: int) -> Image.Image:
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _draw_cells() -> Image.Image:
    """Bright blurred discs on a dark ground, some of which touch; always the same."""
    rng = np.random.default_rng(7)
    picture = Image.new('L', (256, 256), 18)
    draw = ImageDraw.Draw(picture)
    for x, y in rng.uniform(0, 256, (26, 2)):
        width, height = rng.uniform(9, 19, 2)
        draw.ellipse((x - width, y - height, x + width, y + height), fill=int(rng.uniform(90, 220)))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.5)), dtype=np.float32)
    noisy = (blurred + rng.normal(0, 7, blurred.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert('RGB')
