"""Captioned pictures side by side, with a legend of the classes."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PAPER = (255, 255, 255)
INK = (40, 44, 52)
GAP = 8


def panel(
    pictures: Mapping[str, NDArray],
    *,
    columns: int | None = None,
    cell_width: int = 256,
    legend: Mapping[str, Sequence[int]] | None = None,
    notes: Sequence[str] = (),
) -> NDArray:
    """Lay out pictures on a grid, each under its caption.

    Args:
        pictures: Picture (H, W, 3) uint8 RGB of each caption, all of one size.
        columns: Pictures in a row; all in one row by default.
        cell_width: Width of one picture on the page, in pixels.
        legend: RGB colour of each class name to explain below the pictures.
        notes: Sentences to print at the bottom, each from a new line.

    Returns:
        The page, uint8 RGB.

    Raises:
        ValueError: If the pictures differ in size.
    """
    sizes = {picture.shape[:2] for picture in pictures.values()}
    if len(sizes) != 1:
        raise ValueError(f'the pictures of a panel must have one size (H, W), got {sorted(sizes)}')
    height, width = sizes.pop()
    cell = (cell_width, round(cell_width * height / width))
    columns = min(columns or len(pictures), len(pictures))
    font = ImageFont.load_default(size=max(cell_width // 16, 11))
    caption = round(font.size * 1.6)
    rows = -(-len(pictures) // columns)
    page_width = GAP + columns * (cell[0] + GAP)
    grid_height = GAP + rows * (caption + cell[1] + GAP)

    entries = _legend_places(legend or {}, font, page_width)
    legend_height = max((y for _, y in entries.values()), default=-caption) + caption
    letters = int((page_width - 2 * GAP) / font.getlength('n'))
    lines = [line for note in notes for line in textwrap.wrap(note, letters)]
    notes_height = caption * len(lines)
    page_height = grid_height + legend_height + notes_height
    page = Image.new('RGB', (page_width, page_height), PAPER)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        y = page_height - notes_height + number * caption
        draw.text((GAP, y + caption / 2), line, fill=INK, font=font, anchor='lm')
    for index, (text, picture) in enumerate(pictures.items()):
        x = GAP + index % columns * (cell[0] + GAP)
        y = GAP + index // columns * (caption + cell[1] + GAP)
        draw.text((x + cell[0] / 2, y + caption / 2), text, fill=INK, font=font, anchor='mm')
        page.paste(_resized(picture, cell), (x, y + caption))
    for name, (x, y) in entries.items():
        y += grid_height
        draw.rectangle((x, y, x + font.size, y + font.size), fill=tuple(legend[name]), outline=INK)
        draw.text((x + font.size * 1.4, y + font.size / 2), name, fill=INK, font=font, anchor='lm')
    return np.asarray(page)


def _resized(picture: NDArray, size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(picture)
    # enlarged pixels stay pixels: what was not computed is not shown
    method = Image.Resampling.NEAREST if size[0] > image.width else Image.Resampling.LANCZOS
    return image.resize(size, method)


def _legend_places(
    legend: Mapping[str, Sequence[int]], font: ImageFont.FreeTypeFont, width: int
) -> dict[str, tuple[int, int]]:
    """Upper left corner of each entry, in rows that end before ``width``."""
    places, x, y = {}, GAP, 0
    for name in legend:
        entry = round(font.getlength(name) + font.size * 2.4)
        if x > GAP and x + entry > width:
            x, y = GAP, y + round(font.size * 1.6)
        places[name] = (x, y)
        x += entry
    return places
