"""Pictures and maps of another size, as torch and mmcv make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from mmdiffseg.runtime.graphs import need


def resize_maps(maps: np.ndarray, size: Sequence[int], *, align_corners: bool) -> np.ndarray:
    """Resize float32 maps (..., h, w) bilinearly, as ``torch.nn.functional.interpolate`` does."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        if maps.shape[axis] != length:
            maps = _resize_axis(maps, axis, length, align_corners)
    return maps


def _resize_axis(maps: np.ndarray, axis: int, length: int, align_corners: bool) -> np.ndarray:
    old = maps.shape[axis]
    index = np.arange(length, dtype=np.float32)
    if align_corners:
        place = index * np.float32((old - 1) / max(length - 1, 1))
    else:
        place = np.maximum(
            np.float32(old / length) * (index + np.float32(0.5)) - np.float32(0.5), 0
        )
    first = np.minimum(place.astype(np.int64), old - 1)
    second = np.minimum(first + 1, old - 1)
    share = place - first.astype(np.float32)
    if axis == -2:
        share = share[:, None]
    return maps.take(first, axis) * (1 - share) + maps.take(second, axis) * share


def resize_picture(
    pixels: np.ndarray,
    *,
    scale: float | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    keep_ratio: bool,
    backend: str,
) -> np.ndarray:
    """Resize a picture (H, W, 3) uint8 as mmcv's ``Resize`` does, whose options these are."""
    height, width = pixels.shape[:2]
    if scale is None:
        factors = scale_factor if isinstance(scale_factor, list) else [scale_factor] * 2
        # mmcv makes a scale of whole numbers of it first
        scale = [int(width * factors[0] + 0.5), int(height * factors[1] + 0.5)]
    if keep_ratio:
        if isinstance(scale, list):
            factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        else:
            factor = scale
        scale = [int(width * float(factor) + 0.5), int(height * float(factor) + 0.5)]
    size = tuple(scale)
    if size == (width, height):
        return pixels
    if backend == 'pillow':
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    cv2 = need('cv2', extra='onnx')
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)


def resize_mask(mask: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resize a mask (H, W), bool, to (h, w) as mmcv does without blending."""
    cv2 = need('cv2', extra='onnx')
    small = cv2.resize(mask.astype(np.uint8), tuple(size[::-1]), interpolation=cv2.INTER_NEAREST)
    return small.astype(bool)


def by_windows(
    image: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
    *,
    size: Sequence[int],
    stride: Sequence[int],
) -> np.ndarray:
    """Read maps off the windows of an image, and average them where windows overlap.

    Args:
        image: (1, 3, H, W).
        read: Makes maps (C, h, w) of an image (1, 3, h, w).
        size: Height and width of a window; a smaller image is one window.
        stride: Their distance.

    Returns:
        Maps (C, H, W).
    """
    length = image.shape[2:]
    starts = [
        [
            min(i * step, max(n - window, 0))
            for i in range(max(n - window + step - 1, 0) // step + 1)
        ]
        for n, window, step in zip(length, size, stride, strict=True)
    ]
    total, count = 0.0, np.zeros(length, dtype=np.float32)
    for top in starts[0]:
        for left in starts[1]:
            part = (slice(top, top + size[0]), slice(left, left + size[1]))
            maps = read(image[:, :, part[0], part[1]])
            if isinstance(total, float):
                total = np.zeros((len(maps), *length), dtype=np.float32)
            total[:, part[0], part[1]] += maps
            count[part] += 1
    return total / count
