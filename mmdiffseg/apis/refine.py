"""Make a mask better that somebody else made: a refiner, or any model that starts from it."""

import copy
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmseg.models.segmentors import EncoderDecoder
from numpy.typing import NDArray
from torch import Tensor, nn

from mmdiffseg.apis.masks import read_mask
from mmdiffseg.apis.palette import colours
from mmdiffseg.apis.pictures import Picture
from mmdiffseg.apis.tasks import OrdinaryTask, RefineTask, Task
from mmdiffseg.diffusion.start import Start, class_probabilities, resize_start
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.refine import MaskRefiner, Target, merge_labels, whole_probability
from mmdiffseg.models.segmentors import DiffusionEncoderDecoder

if TYPE_CHECKING:
    from mmdiffseg.apis.result import Result
    from mmdiffseg.apis.segmenter import Segmenter

#: value of pixels that are to be found out, in labels
UNKNOWN = 255
LARGEST_LABEL = 2**16 - 1


def refine_picture(
    task: Task,
    picture: Picture,
    mask: Any,
    *,
    keep: NDArray | None = None,
    strength: float | None = None,
    mode: str | None = None,
    steps: int | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Refine one mask of one picture.

    Args:
        task: How the model is asked, from :func:`mmdiffseg.apis.tasks.task_of`.
        picture: The picture.
        mask: What there is. Labels (H, W) of whole numbers, for a refiner any up to 65535, 0 being
            background; a mask of bools, or of 0 and 255; a soft mask (H, W) of fractions in [0, 1];
            class probabilities (K, H, W); or a file of labels.
        keep: Pixels (H, W), bool, in which the mask is right, such as those of clicks.
        strength: How far to go, in (0, 1]; see :class:`Start`. By default what the model has been
            calibrated to, and 1 for a refiner without such a number.
        mode: For a refiner, where it looks; see :class:`MaskRefiner`.
        steps: Denoiser calls of a chain; by default the share ``strength`` of those of the model.
        name: Names the randomness instead of the picture.

    Returns:
        What is known, under the names of :class:`mmdiffseg.apis.result.Result`.

    Raises:
        ValueError: The mask has another size than the picture or unknown values, or the model has
            no ``strength``.
    """
    if not isinstance(task, OrdinaryTask | RefineTask):
        raise ValueError(f'{type(task.model).__name__} cannot start from a mask')
    size = picture.pixels.shape[:2]
    mask = check_given(mask, size)
    if keep is not None:
        keep = check_given(keep, size, what='map of kept pixels') > 0
    name = name or picture.name
    if isinstance(task.model, MaskRefiner):
        labels = as_classes(mask)
        if strength is None:
            strength = _known_strength(task.model) or 1.0
        options = dict(mode=mode, steps=steps, strength=strength)
        return by_refiner(task.model, picture.pixels, labels, keep, name=name, **options)
    if mode is not None:
        raise ValueError(f'{type(task.model).__name__} takes no mode: leave mode={mode!r} out')
    item = task.prepare(Picture(pixels=picture.pixels, name=name, path=picture.path))
    strength = calibrated_strength(task.model, strength)
    sample = _by_chain(task.model, item, mask, keep, strength=strength, steps=steps)
    answer = task.read(sample)
    if keep is not None and 'labels' in answer:
        answer['labels'] = np.where(keep, as_classes(mask), answer['labels']).astype(
            answer['labels'].dtype
        )
    return answer


def refines_itself(task: Task, strength: float | None) -> bool:
    """Whether a model is asked to refine by itself: refiners, and where a strength is known."""
    if isinstance(task, RefineTask) or strength is not None:
        return True
    return _known_strength(task.model) is not None


@functools.cache
def shipped_refiner(device: torch.device) -> 'Segmenter':
    """The refiner that comes with the package, loaded once for each device."""
    from mmdiffseg.apis.load import load

    return load('refiner', device=str(device))


def refine_instead(segmenter: 'Segmenter', image: Any, mask: Any, **options: Any) -> 'Result':
    """Refine by the shipped refiner, in the classes of a model as far as the labels are such."""
    result = shipped_refiner(segmenter.device).refine(image, mask, **options)
    known = segmenter.meta['classes']
    if not known or result.labels.max(initial=0) >= len(known):
        return result
    return replace(result, classes=known, palette=segmenter.meta['palette'])


def calibrated_strength(model: nn.Module, strength: float | None) -> float:
    """The given strength, or what the model has been calibrated to.

    Raises:
        ValueError: There is neither.
    """
    strength = strength or _known_strength(model)
    if strength is None:
        raise ValueError(
            f'no strength is known for this {type(model).__name__}: give strength=, or measure it '
            'by tools/analysis_tools/strength_curve.py'
        )
    return strength


def _known_strength(model: nn.Module) -> float | None:
    return (getattr(model, 'dataset_meta', None) or {}).get('strength')


def check_given(mask: Any, size: Sequence[int], *, what: str = 'mask') -> NDArray:
    """A mask as an array, (H, W) or (K, H, W), after a look at its size and values.

    Args:
        mask: An array, what numpy makes one of, or a file of labels.
        size: Size (H, W) of the picture.
        what: What it is called.

    Raises:
        ValueError: The size is another, or the values are neither labels nor probabilities.
    """
    kind = type(mask).__name__
    mask = read_mask(mask) if isinstance(mask, str | os.PathLike) else np.asarray(mask)
    if mask.dtype.kind not in 'buif':
        raise ValueError(
            f'a {what} is an array (H, W) of labels, bools or fractions, or a file of labels; got '
            f'{kind} of {mask.dtype}'
        )
    if mask.shape[-2:] != tuple(size) or mask.ndim not in (2, 3):
        h, w = size
        raise ValueError(
            f'the {what} is {_size(mask.shape)} and the picture {w}x{h}: give a {what} (H, W) of '
            'the size of the picture'
        )
    if mask.ndim == 3 and (mask.dtype.kind != 'f' or len(mask) < 2):
        raise ValueError(
            f'a {what} (K, H, W) holds the probabilities of two classes or more, got {mask.dtype} '
            f'{mask.shape}: give one (H, W)'
        )
    low, high = mask.min(), mask.max()
    if mask.dtype.kind == 'f':
        # rounding may leave the interval; NaN is in none
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise ValueError(
                f'a {what} of fractions is a probability in [0, 1], got {low:.3g} to {high:.3g}'
            )
    elif low < 0 or high > LARGEST_LABEL:
        raise ValueError(
            f'a {what} holds labels from 0 to {LARGEST_LABEL}, got {low} to {high}: number the '
            'objects from 1'
        )
    return mask


def _size(shape: Sequence[int]) -> str:
    return 'x'.join(map(str, shape[::-1])) if len(shape) > 1 else f'of the shape {tuple(shape)}'


def as_labels(mask: NDArray) -> NDArray[np.int64]:
    """Labels (H, W) of labels, of a soft mask (1 from one half on), or of 0 and 255 (1)."""
    if mask.dtype.kind == 'f':
        return (mask >= 0.5).astype(np.int64)
    mask = mask.astype(np.int64)
    return (mask > 0).astype(np.int64) if set(np.unique(mask)) <= {0, 255} else mask


def as_classes(mask: NDArray) -> NDArray[np.int64]:
    """Classes (H, W) of labels or probabilities."""
    return mask.argmax(axis=0) if mask.ndim == 3 else as_labels(mask)


def by_refiner(
    model: MaskRefiner,
    pixels: NDArray,
    labels: NDArray,
    keep: NDArray | None,
    *,
    name: str,
    mode: str | None,
    strength: float,
    steps: int | None,
) -> dict[str, Any]:
    """Refine every label but 0 by a refiner; see :func:`refine_picture`."""
    image = model.prepare_picture(pixels)
    given = torch.from_numpy(labels).to(image.device)
    ids = [label for label in given.unique().tolist() if label != 0]
    keep = None if keep is None else torch.from_numpy(keep).to(image.device)
    # in groups, because a mask of every object is as large as the picture
    at_once = model.decode_head.max_batch or len(ids)
    refined = []
    for first in range(0, len(ids), at_once):
        targets = [
            Target(image=image, mask=given == label, name=f'{name}/{label}', keep=keep)
            for label in ids[first : first + at_once]
        ]
        refined += model.refine(targets, mode=mode, strength=strength, steps=steps)
    merged = merge_labels(given, ids, [one and (one.box, one.probability) for one in refined])
    dtype = np.uint8 if labels.max(initial=0) < UNKNOWN else np.uint16
    answer = dict(labels=merged.cpu().numpy().astype(dtype), **_names(ids))
    generations = model.decode_head.generations
    if generations > 1:
        samples = [
            merge_labels(given, ids, [one and (one.box, one.samples[g]) for one in refined])
            for g in range(generations)
        ]
        answer['samples'] = torch.stack(samples).cpu().numpy().astype(dtype)
    if ids in ([], [1]):
        foreground = whole_probability(given == 1, refined[0] if ids else None)
        answer['probability'] = torch.stack([1 - foreground, foreground]).cpu().numpy()
    return answer


def _names(ids: Sequence[int]) -> dict[str, Any]:
    """Names and colours of objects that are known by number."""
    count = max(ids, default=1) + 1
    names = ['background', 'object'] if count == 2 else ['background', *map(str, range(1, count))]
    return dict(classes=names, palette=colours(names))


def _by_chain(
    model: nn.Module,
    item: Mapping[str, Any],
    mask: NDArray,
    keep: NDArray | None,
    *,
    strength: float,
    steps: int | None,
) -> Any:
    """Predict a picture from a start; the sample with the prediction."""
    head = getattr(model, 'decode_head', None)
    if not isinstance(head, DiffusionHead):
        raise ValueError(
            f'{type(model).__name__} has no chain that could start from a mask: refine what it '
            'predicts by a refiner, see mmdiffseg.RefinedSegmentor'
        )
    data = model.data_preprocessor(pseudo_collate([item]), False)
    inputs, (sample,) = data['inputs'], data['data_samples']
    if sample.metainfo.get('flip'):
        raise ValueError('a flipped picture cannot start from a mask: leave the flip out')
    start = _start_like(inputs, sample.metainfo, mask, keep, head, strength)
    if type(model) is EncoderDecoder:
        # mmseg's own host hands no start on; ours has the same parts
        model = copy.copy(model)
        model.__class__ = DiffusionEncoderDecoder
    return model.predict(inputs, [sample], start=start, steps=steps)[0]


def _start_like(
    inputs: Tensor,
    meta: Mapping[str, Any],
    mask: NDArray,
    keep: NDArray | None,
    head: DiffusionHead,
    strength: float,
) -> Start:
    """The mask as class probabilities at the size of the network's input, padding included."""
    classes = head.num_classes
    given = torch.from_numpy(mask if mask.dtype.kind == 'f' else as_labels(mask))[None]
    given = given.to(inputs.device)
    if mask.dtype.kind == 'f' and mask.ndim == 2:
        if classes != 2:
            raise ValueError(
                f'a soft mask (H, W) is for two classes, and the model has {classes}: give labels, '
                'or the probabilities of all classes (K, H, W)'
            )
        given = torch.stack([1 - given, given], dim=1)
    elif mask.ndim == 2:
        too_large = given[(given >= classes) & (given != UNKNOWN)]
        if len(too_large):
            raise ValueError(
                f'the mask holds the label {int(too_large.max())}, and the model knows {classes} '
                f'classes: give labels from 0 to {classes - 1}, and {UNKNOWN} for what is unknown'
            )
        given = class_probabilities(given, classes, UNKNOWN)
    kept = None if keep is None else torch.from_numpy(keep)[None].to(inputs.device)
    start = Start(map=given.float(), strength=strength, keep=kept)
    h, w = meta.get('img_shape', inputs.shape[2:])[:2]
    start = resize_start(start, (h, w))
    # padding has no class
    probs = inputs.new_full((1, start.map.shape[1], *inputs.shape[2:]), 1 / start.map.shape[1])
    probs[:, :, :h, :w] = start.map
    if start.keep is not None:
        kept = torch.zeros(1, *inputs.shape[2:], dtype=torch.bool, device=inputs.device)
        kept[:, :h, :w] = start.keep
    return Start(map=probs, strength=strength, keep=kept)
