"""Coarse masks made from true ones, to train a refiner on (SegRefiner, CascadePSP).

A mask is first redrawn from a tenth of the points of its outline, without a thin part of it, then
worn by dilations and erosions inside random rectangles until it overlaps little enough.
:func:`bend` is another way: the outline wanders off smoothly.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

#: shorter outlines are dropped from the polygons
FEWEST_POINTS = 10
#: share of an outline that is cut off, and share of the other points that is left
CUT = KEPT = 0.1
ROUNDS, CHANGES = 250, 4
KERNEL_SIZES = (3, 9)
REFERENCES = ('truth', 'polygon')
BISECTIONS = 10


def coarsen(
    mask: NDArray, rng: np.random.Generator, *, iou: float, reference: str = 'truth'
) -> NDArray[np.uint8]:
    """Make a mask coarse.

    Args:
        mask: True mask (H, W) of bools or of 0 and 1.
        rng: What all randomness comes from.
        iou: The mask is worn until its IoU with the reference falls below this. A round has four
            changes, so that the result may be worse, and a mask is worn at least once.
        reference: ``'truth'``, the true mask; the polygon is left out where it is too coarse
            itself. ``'polygon'``, as released: what overlaps is the redrawn mask, so that a mask of
            a long outline becomes far coarser than ``iou`` says.

    Returns:
        Coarse mask (H, W) of 0 and 1.

    Raises:
        ValueError: ``iou`` or ``reference`` is unknown.
    """
    if not 0 < iou <= 1:
        raise ValueError(f'iou must lie in (0, 1], got {iou}')
    if reference not in REFERENCES:
        raise ValueError(f'reference must be one of {REFERENCES}, got {reference!r}')
    mask = np.ascontiguousarray(mask, np.uint8)
    polygon = redraw(mask, rng)
    if reference == 'polygon':
        return wear(polygon, polygon, rng, iou=iou)
    return wear(polygon if _iou(polygon, mask) >= iou else mask, mask, rng, iou=iou)


def redraw(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Redraw a mask (H, W) of 0 and 1 from few points of its outlines; holes stay holes."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    polygons = []
    for outline in outlines:
        count = len(outline)
        if count < FEWEST_POINTS:
            continue
        run = int(CUT * count)
        chords = outline[: count - run, 0] - outline[run:, 0]  # (count - run, 2)
        by_length = np.argsort(np.square(chords).sum(axis=1))
        first = int(rng.choice(by_length[: math.ceil(CUT * len(by_length))]))
        rest = np.delete(outline, np.s_[first : first + run], axis=0)
        kept = np.sort(rng.choice(len(rest), int(KEPT * len(rest)), replace=False))
        if len(kept):
            polygons.append(rest[kept])
    if not polygons:
        return mask
    # all at once, so that a polygon in another one is a hole
    return cv2.drawContours(np.zeros_like(mask), polygons, -1, 1, cv2.FILLED)


def wear(
    mask: NDArray[np.uint8], reference: NDArray, rng: np.random.Generator, *, iou: float
) -> NDArray[np.uint8]:
    """Dilate and erode a mask (H, W) of 0 and 1 inside random rectangles, see :func:`coarsen`."""
    worn = mask.copy()
    h, w = worn.shape
    for _ in range(ROUNDS):
        for _ in range(CHANGES):
            left, top = rng.integers(0, w), rng.integers(0, h)
            right, bottom = rng.integers(left + 1, w + 1), rng.integers(top + 1, h + 1)
            if rng.random() < 0.25:
                worn[(top + bottom) // 2, (left + right) // 2] = rng.integers(0, 2)
            change = cv2.dilate if rng.random() < 0.5 else cv2.erode
            part = np.s_[top:bottom, left:right]
            worn[part] = change(worn[part], _random_kernel(rng))
        if _iou(worn, reference) < iou:
            break
    return worn


def bend(mask: NDArray, rng: np.random.Generator, *, iou: float) -> NDArray[np.uint8]:
    """Let the outline of a mask wander off: smooth random fields move it and widen or narrow it.

    Args:
        mask: True mask (H, W) of bools or of 0 and 1.
        rng: What all randomness comes from.
        iou: IoU with the mask that the result has, as nearly as the fields allow.

    Returns:
        Coarse mask (H, W) of 0 and 1.
    """
    mask = np.ascontiguousarray(mask, np.uint8)
    if not mask.any():
        return mask
    h, w = mask.shape
    inside, outside = (cv2.distanceTransform(m, cv2.DIST_L2, 5) for m in (mask, 1 - mask))
    distance = np.where(mask > 0, inside - 0.5, 0.5 - outside).astype(np.float32)
    # pixels to the right, downwards and outwards at an amplitude of 1; coarse fields move all alike
    cells = int(rng.integers(1, 9))
    fields = rng.normal(size=(3, cells, cells)).astype(np.float32)
    fields *= rng.random(3, dtype=np.float32)[:, None, None]
    right, down, out = (cv2.resize(f, (w, h), interpolation=cv2.INTER_CUBIC) for f in fields)
    xs, ys = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))

    def bent(amplitude: float) -> NDArray[np.uint8]:
        places = xs + amplitude * right, ys + amplitude * down
        moved = cv2.remap(distance, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return (moved + amplitude * out > 0).astype(np.uint8)

    low, high = 0.0, max(h, w) / 4
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _iou(bent(middle), mask) >= iou else (low, middle)
    return bent(low)


def _random_kernel(rng: np.random.Generator) -> NDArray[np.uint8]:
    smallest, largest = KERNEL_SIZES
    size, shape = rng.integers(smallest, largest + 1), rng.integers(1, 5)
    sizes = {3: (size, size // 2), 4: (size // 2, size)}.get(int(shape), (size, size))
    kind = cv2.MORPH_RECT if shape == 1 else cv2.MORPH_ELLIPSE
    return cv2.getStructuringElement(kind, tuple(map(int, sizes)))


def _iou(a: NDArray, b: NDArray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
