"""Pictures to segment, in whatever form they come: read one by one, upright, as RGB."""

import glob
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')
#: more than a picture of 10,000 x 10,000, of which the maps of all classes are held in memory
MAX_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that has been read.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        name: Names its noise and its results; within a folder, the path from there.
        path: Its file, or that of its video.
    """

    pixels: NDArray
    name: str
    path: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A picture that can be read; see :class:`Picture`."""

    name: str
    path: Path | None
    read_pixels: Callable[[], NDArray]

    def read(self) -> Picture:
        """Read it.

        Raises:
            ValueError: It is damaged, no picture or too large; the sentence names it.
            OSError: The file cannot be opened.
        """
        pixels = self.read_pixels()
        check_size(self.name, pixels.shape[1], pixels.shape[0])
        return Picture(pixels=pixels, name=self.name, path=self.path)


def find_sources(images: Any) -> Iterator[Source]:
    """Find pictures, without reading more than the present one.

    Args:
        images: The path of a picture, of a video or of a folder with pictures at any depth; a glob
            pattern; the bytes of a picture file; a PIL picture; an array (H, W, 3) uint8 RGB or
            (H, W) grey; a source; or several of them.

    Yields:
        The sources, those of a folder or a pattern in the order of their names. What has no name
        is called by its number, from 0.

    Raises:
        FileNotFoundError: There is nothing at a path, or nothing fits a pattern.
        ValueError: A folder holds no picture, or a value is none of the above.
    """
    for number, item in enumerate(images if is_several(images) else [images]):
        yield from _sources_of(item, number)


def is_several(images: Any) -> bool:
    """Whether these are many pictures, not one: a list, a folder, a pattern or a video."""
    if isinstance(images, str | os.PathLike):
        return False
    return isinstance(images, Iterable) and not isinstance(
        images, bytes | bytearray | np.ndarray | Image.Image
    )


def is_single(images: Any) -> bool:
    """Whether these images are one picture, whose result is not put into a list."""
    if isinstance(images, str | os.PathLike):
        path = Path(images)
        return path.is_file() and path.suffix.lower() not in VIDEO_SUFFIXES
    return not is_several(images)


def _sources_of(item: Any, number: int) -> Iterator[Source]:
    if isinstance(item, Source):
        yield item
    elif isinstance(item, str | os.PathLike):
        yield from _at_path(os.fspath(item))
    elif isinstance(item, bytes | bytearray):
        yield _source(str(number), None, lambda: decode(bytes(item), name=f'picture {number}'))
    elif isinstance(item, Image.Image):
        yield _source(str(number), None, lambda: _upright(item, f'picture {number}'))
    elif isinstance(item, np.ndarray):
        yield _source(str(number), None, lambda: check_pixels(item))
    else:
        raise ValueError(
            f'picture {number} is a {type(item).__name__}: give a path, the bytes of a file, a PIL '
            'picture, or an array (H, W, 3) uint8 RGB'
        )


def _at_path(text: str) -> Iterator[Source]:
    if '://' in text:
        raise ValueError(f'{text} is an address, and nothing is downloaded here: give a file')
    path = Path(text).expanduser()
    if path.is_dir():
        yield from _in_folder(path)
    elif path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        yield from _frames(path)
    elif path.is_file():
        yield _source(path.name, path, lambda: read_pixels(path))
    elif glob.has_magic(text):
        found = sorted(glob.glob(os.fspath(path), recursive=True))
        if not found:
            raise FileNotFoundError(f'no file fits the pattern {text}')
        for name in found:
            yield from _at_path(name)
    else:
        raise FileNotFoundError(f'there is no picture {text}')


def _in_folder(folder: Path) -> Iterator[Source]:
    paths = sorted(
        path
        for path in folder.rglob('*')
        if path.suffix.lower() in SUFFIXES and not path.name.startswith('.') and path.is_file()
    )
    if not paths:
        raise ValueError(f'the folder {folder} holds no picture ({", ".join(SUFFIXES)})')
    for path in paths:
        name = path.relative_to(folder).as_posix()
        yield _source(name, path, lambda path=path: read_pixels(path))


def _frames(path: Path) -> Iterator[Source]:
    import cv2

    video = cv2.VideoCapture(str(path))
    try:
        number = 0
        while True:
            there, frame = video.read()
            if not there:
                break
            pixels = np.ascontiguousarray(frame[..., ::-1])
            yield _source(f'{path.stem}_{number:06d}', path, lambda pixels=pixels: pixels)
            number += 1
    finally:
        video.release()
    if number == 0:
        raise ValueError(f'{path} cannot be read as a video')


def _source(name: str, path: Path | None, read: Callable[[], NDArray]) -> Source:
    return Source(name=name, path=path, read_pixels=read)


def read_pixels(path: str | os.PathLike) -> NDArray:
    """Read a picture file as (H, W, 3) uint8 RGB, turned as its EXIF tag says."""
    return decode(Path(path).read_bytes(), name=str(path))


def decode(content: bytes, *, name: str) -> NDArray:
    """Decode the bytes of a picture file to (H, W, 3) uint8 RGB; see :func:`read_pixels`.

    Raises:
        ValueError: They are damaged, no picture, or of a picture with too many pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        picture = _decoded(lambda: Image.open(io.BytesIO(content)), name, content)
    with picture:
        check_size(name, *picture.size)
        _decoded(picture.load, name, content)
        return _upright(picture, name)


def _decoded(step: Callable[[], Any], name: str, content: bytes) -> Any:
    try:
        return step()
    except Exception as error:  # decoders raise what they like
        unknown = isinstance(error, UnidentifiedImageError)
        cause = 'it has no known format' if unknown else error
        raise ValueError(
            f'{name} cannot be read as a picture ({len(content)} bytes): {cause}'
        ) from error


def check_size(name: str, width: int, height: int) -> None:
    """Refuse a picture that is too large to be segmented in one piece.

    Raises:
        ValueError: It has more than ``MAX_PIXELS``, or none.
    """
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(
            f'{name} has {width} x {height} pixels, and a picture may have 1 to {MAX_PIXELS:,}: '
            'cut it into tiles'
        )


def _upright(picture: Image.Image, name: str) -> NDArray:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == 'F':
        raise ValueError(f'{name} holds fractions: save it with 8 or 16 bits')
    if picture.mode.startswith('I'):  # 16 bits, of which OpenCV keeps the upper 8, too
        values = np.asarray(picture)
        if values.min() < 0 or values.max() >= 2**16:
            raise ValueError(f'{name} holds values outside [0, 65535]: save it with 8 or 16 bits')
        return check_pixels((values.astype(np.uint16) >> 8).astype(np.uint8))
    return np.array(picture.convert('RGB'))


def check_pixels(pixels: NDArray) -> NDArray:
    """Check an array, and give it three channels.

    Args:
        pixels: (H, W, 3) uint8 RGB, or (H, W) or (H, W, 1) uint8 grey.

    Raises:
        ValueError: It is something else.
    """
    grey = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1)
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError(
            f'a picture must be (H, W) uint8 grey or (H, W, 3) uint8 RGB, got {pixels.dtype} '
            f'{pixels.shape}'
        )
    if grey:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(pixels)
