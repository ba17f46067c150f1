"""Masks as other sources make them: what a refiner is tested on, and never trained on.

Every source makes a coarse mask (H, W), bool, of a true one, and is a function of that alone.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Source = Callable[[NDArray], NDArray]


def low_resolution(mask: NDArray, *, factor: int = 8) -> NDArray:
    """A network that predicts at 1 / factor of the resolution, enlarged smoothly."""
    small = _shrunk(mask, factor)
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5


def blocks(mask: NDArray, *, factor: int = 16) -> NDArray:
    """Decisions for blocks of pixels, enlarged as they are."""
    small = (_shrunk(mask, factor) >= 0.5).astype(np.uint8)
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0


def dilated(mask: NDArray) -> NDArray:
    """Every region too large, by a tenth of the radius of a disk of its area."""
    return _each_region(mask, lambda region: _change(cv2.dilate, region))


def eroded(mask: NDArray) -> NDArray:
    """Every region too small, by a tenth of the radius of a disk of its area."""
    return _each_region(mask, lambda region: _change(cv2.erode, region))


def polygon(mask: NDArray, *, tolerance: float = 0.02) -> NDArray:
    """Outlines as polygons, off by at most 2 % of their length; holes are lost."""
    coarse = np.zeros(mask.shape, np.uint8)
    for outline in _outlines(mask):
        corners = cv2.approxPolyDP(outline, tolerance * cv2.arcLength(outline, True), True)
        cv2.drawContours(coarse, [corners], -1, 1, cv2.FILLED)
    return coarse > 0


def box(mask: NDArray) -> NDArray:
    """The box around every region."""
    coarse = np.zeros(mask.shape, bool)
    for left, top, width, height in (cv2.boundingRect(outline) for outline in _outlines(mask)):
        coarse[top : top + height, left : left + width] = True
    return coarse


def ellipse(mask: NDArray) -> NDArray:
    """An ellipse fitted to every outline; outlines of less than five pixels stay as they are."""
    coarse = np.zeros(mask.shape, np.uint8)
    for outline in _outlines(mask):
        if len(outline) < 5:
            cv2.drawContours(coarse, [outline], -1, 1, cv2.FILLED)
        else:
            cv2.ellipse(coarse, cv2.fitEllipse(outline), 1, cv2.FILLED)
    return coarse > 0


def jpeg(mask: NDArray) -> NDArray:
    """Saved as JPEG of half the size and quality 5: nearly lossless, a test of doing no harm."""
    h, w = mask.shape
    half = cv2.resize(mask.astype(np.uint8) * 255, (max(w // 2, 1), max(h // 2, 1)))
    _, content = cv2.imencode('.jpg', half, [cv2.IMWRITE_JPEG_QUALITY, 5])
    grey = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    return cv2.resize(grey, (w, h), interpolation=cv2.INTER_LINEAR) >= 128


def shifted(mask: NDArray, *, share: float = 0.02) -> NDArray:
    """Off by 2 % of the diagonal to the right, and half of that downwards."""
    right = share * np.hypot(*mask.shape)
    move = np.float32([[1, 0, round(right)], [0, 1, round(right / 2)]])
    pixels = mask.astype(np.uint8)
    return cv2.warpAffine(pixels, move, mask.shape[::-1], flags=cv2.INTER_NEAREST) > 0


SOURCES: dict[str, Source] = {
    source.__name__: source
    for source in (
        low_resolution,
        blocks,
        dilated,
        eroded,
        polygon,
        box,
        ellipse,
        jpeg,
        shifted,
    )
}


def _shrunk(mask: NDArray, factor: int) -> NDArray:
    """Share of the mask in blocks, float32."""
    h, w = mask.shape
    size = (max(w // factor, 1), max(h // factor, 1))
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _outlines(mask: NDArray) -> tuple[NDArray, ...]:
    pixels = np.ascontiguousarray(mask, np.uint8)
    return cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]


def _each_region(mask: NDArray, change: Source) -> NDArray:
    coarse = np.zeros(mask.shape, bool)
    for region in _regions(mask):
        coarse |= change(region)
    return coarse


def _regions(mask: NDArray) -> Iterator[NDArray]:
    count, regions = cv2.connectedComponents(np.ascontiguousarray(mask, np.uint8))
    for number in range(1, count):
        yield regions == number


def _change(morphology: Callable, region: NDArray) -> NDArray:
    radius = max(1, round(0.1 * np.sqrt(np.count_nonzero(region) / np.pi)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    return morphology(region.astype(np.uint8), kernel) > 0
