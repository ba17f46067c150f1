"""What the page is told: about the model, and of a picture."""

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.apis.pictures import Picture, Source
from mmdiffseg.apis.result import Result
from mmdiffseg.apis.web.questions import Limits, Question, pack
from mmdiffseg.apis.web.samples import sample_names


def describe(segmenter: Any, limits: Limits) -> dict[str, Any]:
    """What the page has to know of a model to offer what it has, and nothing else."""
    meta = segmenter.meta
    return dict(
        # a path is nobody's business
        name=str(meta.get('source', 'model')).replace('\\', '/').rstrip('/').rpartition('/')[2],
        classes=list(meta['classes']),
        palette=[list(map(int, colour)) for colour in meta['palette']],
        settings=segmenter.settings,
        asks=segmenter.asks,
        films=segmenter.films,
        # what has no chain cannot start it from a mask
        refines=hasattr(segmenter, 'refine') and 'steps' in segmenter.settings,
        samples=list(sample_names()),
        limits=dict(
            body=limits.body,
            pixels=limits.pixels,
            steps=limits.steps,
            generations=limits.generations,
            examples=limits.examples,
        ),
    )


def answer(segmenter: Any, question: Question, limits: Limits) -> dict[str, Any]:
    """Ask a model what the page asks.

    Raises:
        ValueError: The picture is damaged, or the model has no such setting.
        TimeoutError: It takes too long.
    """
    picture = question.picture.read()
    given = _kept(picture)
    if question.film:
        _check_film(segmenter, picture, question, limits)
    begin = time.monotonic()
    with time_limit(limits.seconds, segmenter):
        if question.mask is not None:
            result = _refined(segmenter, given, question)
        else:
            result = segmenter(
                given, text=question.text, examples=question.examples, **question.settings
            )
        film = []
        if question.film:
            settings = {key: question.settings.get(key) for key in ('steps', 'seed')}
            film = segmenter.film(given, **settings)
    said = _packed(result)
    if film:
        said['film'] = pack(np.stack([_map(frame) for frame in film]))
    if question.echo:
        said['image'] = _png(result.image)
    return dict(said, seconds=round(time.monotonic() - begin, 3))


def _kept(picture: Picture) -> Source:
    """A picture that has been read, as one that is not read again."""
    return Source(name=picture.name, path=None, read_pixels=lambda: picture.pixels)


def _refined(segmenter: Any, picture: Source, question: Question) -> Result:
    if not hasattr(segmenter, 'refine'):
        raise ValueError('this model refines no masks: leave the mask out')
    return segmenter.refine(
        picture,
        question.mask,
        keep=question.keep,
        strength=question.strength,
        **question.settings,
    )


def _check_film(segmenter: Any, picture: Picture, question: Question, limits: Limits) -> None:
    if not segmenter.films or question.mask is not None:
        raise ValueError('there is no film of this: leave it out')
    steps = question.settings.get('steps') or segmenter.settings['steps']
    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    if steps * pixels > limits.film:
        raise ValueError(
            f'a film of {steps} steps of this picture would have {steps * pixels:,} pixels, and it '
            f'may have {limits.film:,} here: take fewer steps or a smaller picture'
        )


def _packed(result: Result) -> dict[str, Any]:
    arrays = dict(
        labels=result.labels,
        samples=result.samples,
        uncertainty=_bytes_of(result.uncertainty),
        inner=_bits(result.inner),
        outer=_bits(result.outer),
        # of how many classes the true one may be
        choices=None if result.label_set is None else result.label_set.sum(axis=0, dtype=np.uint8),
        depth=result.depth,
        objects=_numbers(result),
    )
    return dict(
        {name: None if array is None else pack(array) for name, array in arrays.items()},
        classes=list(result.classes),
        palette=[list(map(int, colour)) for colour in result.palette],
        notes=list(result.notes),
        rle=None if result.labels is None else result.rle(),
    )


def _bytes_of(shares: NDArray | None) -> NDArray | None:
    return None if shares is None else np.rint(shares.clip(0, 1) * 255).astype(np.uint8)


def _bits(mask: NDArray | None) -> NDArray | None:
    return None if mask is None else mask.astype(np.uint8)


def _numbers(result: Result) -> NDArray | None:
    """Number of the object of each pixel (H, W), 0 for none."""
    if result.segments is None:
        return None
    numbers = np.zeros(result.labels.shape, dtype=np.uint16)
    for number, segment in enumerate(result.segments, start=1):
        numbers[segment.mask] = number
    return numbers


def _map(frame: Result) -> NDArray:
    return frame.depth if frame.labels is None else frame.labels


def _png(pixels: NDArray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG', compress_level=1)
    return base64.b64encode(stream.getvalue()).decode()


@contextmanager
def time_limit(seconds: float, segmenter: Any) -> Iterator[None]:
    """Let the modules of this thread, or the graphs of an exported model, begin for some time only.

    Raises:
        TimeoutError: One began later.
    """
    end, thread = time.monotonic() + seconds, threading.get_ident()

    def check(*called: Any) -> None:
        if threading.get_ident() == thread and time.monotonic() > end:
            raise TimeoutError(
                f'this takes more than {seconds:g} s: take fewer steps or generations, or a '
                'smaller picture'
            )

    if hasattr(segmenter, 'before_call'):
        segmenter.before_call = check
        try:
            yield
        finally:
            segmenter.before_call = None
        return
    from torch.nn.modules.module import register_module_forward_pre_hook

    hook = register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()
