"""Segment a video: every frame starts from the answer for the one before."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmdiffseg.apis.pictures import Picture, Source
from mmdiffseg.apis.refine import as_classes, check_given, refine_picture
from mmdiffseg.apis.tasks import OrdinaryTask, RefineTask, Task

FLOWS = ('dis', 'farneback')
#: mean absolute difference of two frames, in [0, 1], from which on they are of two scenes
CUT = 0.15
#: frames are compared at this width
COMPARED_WIDTH = 160

Asking = Callable[[Mapping[str, int | None]], AbstractContextManager]


def follow(
    task: Task,
    sources: Iterable[Source],
    first_mask: Any,
    *,
    asking: Asking,
    strength: float | None,
    steps: int | None,
    flow: str | None,
    name: str,
) -> Iterator[tuple[Picture, dict[str, Any]]]:
    """Answer for frame after frame.

    Args:
        task: How the model is asked.
        sources: The frames.
        first_mask: Mask of the first frame; None segments it from noise.
        asking: What calls of the model are made in.
        strength: See :func:`refine_picture`.
        steps: Denoiser calls of a frame but the first.
        flow: See :func:`move`.
        name: Name of the noise of all frames.

    Yields:
        The frame, and what is known of it under the names of :class:`Result`.

    Raises:
        ValueError: ``flow`` is unknown, a refiner has no first mask or frames of several sizes, or
            the model makes no labels.
    """
    if flow is not None and flow not in FLOWS:
        raise ValueError(f'flow must be one of {FLOWS} or None, got {flow!r}')
    if not isinstance(task, OrdinaryTask | RefineTask):
        raise ValueError(f'{type(task.model).__name__} cannot start from the frame before')
    finds = isinstance(task, OrdinaryTask)
    if first_mask is None and not finds:
        raise ValueError(
            'a refiner finds nothing by itself: give first_mask, the mask of the first frame'
        )
    before, given = None, first_mask
    for number, source in enumerate(sources):
        picture = source.read()
        notes = []
        if before is not None and before.shape != picture.pixels.shape and not finds:
            raise ValueError(
                f'frame {number} is {_size(picture.pixels)}, the one before {_size(before)}: a '
                'refiner follows a mask through frames of one size'
            )
        if before is not None and is_cut(before, picture.pixels):
            notes = [f'frame {number} begins a new scene']
            given = None if finds else given
        elif before is not None and flow is not None:
            check_given(given, before.shape[:2])
            given = move(given, before, picture.pixels, method=flow)
        with asking({}):
            if given is None:
                named = replace(picture, name=name)
                (answer,) = task.predict([task.prepare(named)], None)
            else:
                options = dict(strength=strength, steps=steps, name=name)
                answer = refine_picture(task, picture, given, **options)
        if 'labels' not in answer:
            raise ValueError(
                f'{type(task.model).__name__} gives no labels that a frame could start from'
            )
        yield picture, {**answer, 'notes': notes}
        # probabilities keep what a label map would round away
        before, given = picture.pixels, answer.get('probability', answer['labels'])


def _size(pixels: NDArray) -> str:
    return f'{pixels.shape[1]}x{pixels.shape[0]}'


def is_cut(before: NDArray, after: NDArray) -> bool:
    """Whether two frames (H, W, 3), uint8, differ so much that they are of two scenes."""
    if before.shape != after.shape:
        return True
    h, w = before.shape[:2]
    size = (COMPARED_WIDTH, max(round(h * COMPARED_WIDTH / w), 1))
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in (before, after)]
    return float(cv2.absdiff(*small).mean()) / 255 > CUT


def move(given: Any, before: NDArray, after: NDArray, *, method: str) -> NDArray:
    """Move a mask along with the picture, by the optical flow between two frames.

    Args:
        given: Labels (H, W) or probabilities (H, W) or (K, H, W) of the frame ``before``.
        before: The frame (H, W, 3), uint8 RGB.
        after: The frame that follows.
        method: ``'dis'`` (dense inverse search) or ``'farneback'``.

    Returns:
        The mask of the frame ``after``, of the same kind.
    """
    given = np.asarray(given)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (after, before)]
    if method == 'dis':
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    else:
        flow = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 21, 3, 7, 1.5, 0)
    h, w = grey[0].shape
    # where each pixel was in the frame before
    xs = np.arange(w, dtype=np.float32) + flow[..., 0]
    ys = np.arange(h, dtype=np.float32)[:, None] + flow[..., 1]

    def moved(map_: NDArray, interpolation: int) -> NDArray:
        return cv2.remap(map_, xs, ys, interpolation, borderMode=cv2.BORDER_REPLICATE)

    if given.dtype.kind == 'f':
        maps = given.astype(np.float32)
        if maps.ndim == 2:
            return moved(maps, cv2.INTER_LINEAR).clip(0, 1)
        return np.stack([moved(map_, cv2.INTER_LINEAR) for map_ in maps]).clip(0, 1)
    labels = as_classes(given)
    # OpenCV moves no integers of 64 bits; labels up to 2^24 are whole numbers in float32
    return moved(labels.astype(np.float32), cv2.INTER_NEAREST).astype(labels.dtype)
