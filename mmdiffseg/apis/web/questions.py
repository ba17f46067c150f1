"""What the page asks: JSON that is checked, and turned into the arguments of a model."""

import base64
import binascii
import io
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.apis.pictures import Source, decode

#: what Pillow may read for a stranger; some of its other readers start programs
FORMATS = ('PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP', 'PPM')


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a stranger may ask for.

    Attributes:
        body: Bytes of a request.
        pixels: Pixels of a picture.
        steps: Denoiser calls of a chain.
        generations: Chains of a picture.
        film: Pixels of all frames of a film together.
        examples: Example pictures with a mask.
        letters: Letters of a text, or of the name of a picture.
        seconds: Time to compute an answer.
        upload: Seconds in which a request must have arrived.
        waiting: Requests that wait while another is computed.
        patience: Seconds after which one that waits is sent away.
        connections: Open connections.
    """

    body: int = 24 * 2**20
    pixels: int = 2_000_000
    steps: int = 100
    generations: int = 16
    film: int = 32_000_000
    examples: int = 4
    letters: int = 300
    seconds: float = 600.0
    upload: float = 60.0
    waiting: int = 8
    patience: float = 600.0
    connections: int = 32


@dataclass(frozen=True, kw_only=True)
class Question:
    """A picture, and what to do with it.

    Attributes:
        picture: The picture.
        settings: ``steps``, ``generations`` and ``seed``, as far as they were given.
        film: Whether the frames of a denoising film are wanted.
        echo: Whether the picture itself is wanted, because the browser cannot read its format.
        text: Sentences to find.
        examples: Pictures with their masks (H, W).
        mask: A mask (H, W) to refine.
        keep: Where (H, W) the mask is right.
        strength: How much of it may change.
    """

    picture: Source
    settings: Mapping[str, int]
    film: bool = False
    echo: bool = False
    text: list[str] | None = None
    examples: list[tuple[Source, NDArray]] | None = None
    mask: NDArray | None = None
    keep: NDArray | None = None
    strength: float | None = None


def read_question(body: bytes, limits: Limits) -> Question:
    """Read a request.

    Raises:
        ValueError: It is damaged, or asks for more than is allowed.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError('the request is not JSON') from None
    if not isinstance(asked, dict):
        raise ValueError('the request must be a JSON object')
    readers = _readers(limits)
    unknown = set(asked) - {'name', 'image', *readers}
    if unknown:
        raise ValueError(f'the request has no {_quoted(min(unknown))}')
    name = _text('name', asked.get('name', 'picture'), limits)
    settings = {}
    found = {}
    for key, read in readers.items():
        if asked.get(key) is not None:
            kind = settings if key in ('steps', 'generations', 'seed') else found
            kind[key] = read(asked[key])
    return Question(picture=_picture(asked.get('image'), name, limits), settings=settings, **found)


def _readers(limits: Limits) -> dict[str, Callable[[Any], Any]]:
    return dict(
        steps=partial(_whole, 'steps', 1, limits.steps),
        generations=partial(_whole, 'generations', 1, limits.generations),
        seed=partial(_whole, 'seed', 0, 2**31 - 1),
        film=partial(_flag, 'film'),
        echo=partial(_flag, 'echo'),
        text=lambda value: _sentences(value, limits),
        examples=lambda value: _examples(value, limits),
        mask=lambda value: unpack(value, limits),
        keep=lambda value: unpack(value, limits) > 0,
        strength=_strength,
    )


def _whole(name: str, least: int, most: int, value: Any) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(
            f'{name} must be a whole number from {least} to {most} here, got {_quoted(value)}'
        )
    return value


def _flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f'{name} must be true or false, got {_quoted(value)}')
    return value


def _strength(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ValueError(f'strength must be a number above 0 and up to 1, got {_quoted(value)}')
    return float(value)


def _text(name: str, value: Any, limits: Limits) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{name} must be a text, got {_quoted(value)}')
    if len(value) > limits.letters:
        raise ValueError(f'{name} may have {limits.letters} letters here, got {len(value)}')
    return value.strip()


def _sentences(value: Any, limits: Limits) -> list[str]:
    """One sentence a line."""
    return [line.strip() for line in _text('text', value, limits).splitlines() if line.strip()]


def _examples(value: Any, limits: Limits) -> list[tuple[Source, NDArray]]:
    if not isinstance(value, list) or not 1 <= len(value) <= limits.examples:
        raise ValueError(f'examples must be a list of 1 to {limits.examples} pictures with masks')
    pairs = []
    for number, item in enumerate(value, start=1):
        if not isinstance(item, dict) or set(item) != {'image', 'mask'}:
            raise ValueError(f'example {number} must have an image and a mask, and nothing else')
        mask = unpack(item['mask'], limits)
        pairs.append((_picture(item['image'], f'example {number}', limits), mask))
    return pairs


def _picture(value: Any, name: str, limits: Limits) -> Source:
    content = _bytes(value, f'the picture {name}')
    check_picture(content, name, limits)
    return Source(name=name, path=None, read_pixels=lambda: decode(content, name=name))


def check_picture(content: bytes, name: str, limits: Limits) -> None:
    """Look at the head of a picture file, before anything of it is decoded.

    Raises:
        ValueError: It is no picture of the common formats, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
    except Exception:  # decoders raise what they like
        raise ValueError(
            f'{name} is not a picture that can be read: give a {", ".join(FORMATS[:-1])} or '
            f'{FORMATS[-1]} file'
        ) from None
    if width * height > limits.pixels:
        raise ValueError(
            f'{name} has {width} x {height} pixels, and a picture may have {limits.pixels:,} here: '
            'make it smaller'
        )


def _bytes(value: Any, name: str) -> bytes:
    if not isinstance(value, str) or not value:
        raise ValueError(f'{name} is missing')
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f'{name} is damaged') from None


def pack(array: NDArray) -> dict[str, Any]:
    """Write an array for the page; :func:`unpack` reads it."""
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 1)).decode()
    return dict(shape=list(array.shape), dtype=array.dtype.name, data=data)


def unpack(value: Any, limits: Limits) -> NDArray:
    """Read a mask (H, W) that the page has painted.

    Raises:
        ValueError: It is damaged or too large.
    """
    try:
        (height, width), packed = value['shape'], _bytes(value['data'], 'the mask')
        if value['dtype'] != 'uint8' or type(height) is not int or type(width) is not int:
            raise ValueError
        if not (0 < height and 0 < width and height * width <= limits.pixels):
            raise ValueError
        stream = zlib.decompressobj()
        content = stream.decompress(packed, height * width)  # no more, whatever is in there
        return np.frombuffer(content, dtype=np.uint8).reshape(height, width)
    except (ValueError, TypeError, KeyError, zlib.error):
        raise ValueError('the mask is damaged or too large: paint it again') from None


def _quoted(value: Any) -> str:
    """A value in a sentence, short whatever it is."""
    return re.sub(r'^(.{40}).+$', r'\1...', repr(value), flags=re.DOTALL)
