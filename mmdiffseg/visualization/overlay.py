"""Pictures of label maps, uncertainty and errors over the image they belong to.

Images are (H, W, 3) uint8 RGB, in and out.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from numpy.typing import NDArray

from mmdiffseg.segment_ids import INSTANCE_OFFSET

RIGHT = (64, 160, 120)
WRONG = (230, 57, 70)


def label_overlay(
    image: NDArray,
    labels: NDArray,
    palette: Sequence[Sequence[int]],
    *,
    opacity: float = 0.7,
    ignore_index: int = 255,
) -> NDArray:
    """Colour the grey image by class, with a line along the borders.

    Args:
        image: The image.
        labels: Class of each pixel (H, W) in [0, K), or ``ignore_index``, which stays uncoloured.
        palette: RGB colour of each of the K classes.
        opacity: Share of the colour, in [0, 1].
        ignore_index: Label of pixels without a class.

    Raises:
        ValueError: If a label has no colour.
    """
    colours = np.asarray(palette, dtype=np.float32)
    known = labels != ignore_index
    top = int(labels[known].max(initial=0))
    if top >= len(colours):
        raise ValueError(f'label {top} has no colour: the palette holds {len(colours)}')
    weight = opacity * known[..., None]  # (H, W, 1)
    colour = colours[np.where(known, labels, 0)]  # (H, W, 3)
    # over grey, a class keeps the hue that the legend shows whatever the colour of the object
    picture = _grey(image) * (1 - weight) + colour * weight
    picture[borders(labels)] *= 0.4
    return picture.astype(np.uint8)


def segment_overlay(
    image: NDArray, ids: NDArray, palette: Sequence[Sequence[int]], *, opacity: float = 0.7
) -> NDArray:
    """Colour the grey image by class, with a line between objects of one class as well.

    Args:
        image: The image.
        ids: Class of each pixel (H, W) plus ``INSTANCE_OFFSET`` times the object's number. Pixels
            of a class without a colour, such as 255, stay uncoloured.
        palette: RGB colour of each of the K classes.
        opacity: Share of the colour, in [0, 1].
    """
    segments, index = np.unique(ids, return_inverse=True)
    index = index.reshape(ids.shape)
    classes = segments % INSTANCE_OFFSET
    known = classes < len(palette)
    colours = np.asarray(palette)[np.where(known, classes, 0)]  # one for each segment
    return label_overlay(
        image, np.where(known[index], index, -1), colours, opacity=opacity, ignore_index=-1
    )


def heat_overlay(image: NDArray, heat: NDArray, *, colormap: str = 'inferno') -> NDArray:
    """Glow where a map is high, over the dimmed grey image.

    Args:
        image: The image.
        heat: Map (H, W) in [0, 1], e.g. uncertainty.
        colormap: Name of a matplotlib colour map that begins dark.
    """
    glow = matplotlib.colormaps[colormap](np.clip(heat, 0, 1))[..., :3] * 255  # (H, W, 3)
    weight = 0.9 * np.sqrt(np.clip(heat, 0, 1))[..., None]
    return (_grey(image, 0.5) * (1 - weight) + glow * weight).astype(np.uint8)


def grey_map(values: NDArray) -> NDArray:
    """A map (H, W) in [0, 1], black to white."""
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def error_map(
    image: NDArray, labels: NDArray, target: NDArray, *, ignore_index: int = 255
) -> NDArray:
    """Red where a prediction is wrong, green where it is right, grey where nobody knows.

    Args:
        image: The image.
        labels: Predicted classes (H, W).
        target: True classes (H, W), with ``ignore_index`` where there is none.
        ignore_index: Label of pixels that do not count.
    """
    picture = _grey(image, 0.5)
    for mask, colour, weight in (
        (labels == target, RIGHT, 0.25),
        ((labels != target) & (target != ignore_index), WRONG, 0.85),
    ):
        picture[mask] = picture[mask] * (1 - weight) + np.float32(colour) * weight
    return picture.astype(np.uint8)


def borders(labels: NDArray) -> NDArray:
    """Pixels (H, W) whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def _grey(image: NDArray, brightness: float = 1.0) -> NDArray:
    grey = image.mean(axis=2, keepdims=True, dtype=np.float32)  # (H, W, 1)
    return np.repeat(grey * brightness, 3, axis=2)
