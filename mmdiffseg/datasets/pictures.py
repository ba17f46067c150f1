"""What a picture file says of itself that decoders pass over: how it is turned, and its bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from mmengine import fileio
from numpy.typing import NDArray
from PIL import ExifTags, Image

EIGHT_BITS = ('1', 'L', 'P', 'RGB', 'RGBA')  # Pillow's modes


def check_upright(path: str, *, truth: str) -> None:
    """Refuse a picture that decoders turn, since label files carry no such tag.

    Args:
        path: The picture; a format that Pillow does not know passes.
        truth: The file that says what its pixels show.

    Raises:
        ValueError: It is stored turned or mirrored.
    """
    with _opened(path) as picture:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1) if picture else 1
    if orientation > 1:
        raise ValueError(
            f'{path} is stored turned or mirrored (EXIF orientation {orientation}), and nothing '
            f'says whether {truth} is, too: save it upright, as the labels are, without the tag.'
        )


def check_same_size(results: dict, truth: NDArray, *, what: str) -> None:
    """Refuse ground truth of another size than its image.

    Args:
        results: A sample whose image is loaded: `img_path` and `ori_shape`.
        truth: (H, W) or (H, W, C).
        what: The truth, its file and the verb, such as ``'its mask a.png is'``.

    Raises:
        ValueError: The sizes differ.
    """
    if truth.shape[:2] != tuple(results['ori_shape']):
        height, width = results['ori_shape']
        raise ValueError(
            f'{results["img_path"]} is {width}x{height} and {what} '
            f'{truth.shape[1]}x{truth.shape[0]}: make them the same size.'
        )


def check_labels_fit(path: str) -> None:
    """Refuse labels that would be other ones in the 8 bits in which they are computed.

    Raises:
        ValueError: A label is negative or above 255.
    """
    with _opened(path) as picture:
        if picture is None or picture.mode in EIGHT_BITS:
            return
        values = np.asarray(picture)
    wrong = values[(values < 0) | (values > 255)]
    if wrong.size:
        raise ValueError(
            f'{path} holds the label {wrong[0]}: labels must lie in [0, 255], where 255 is ignored.'
        )


def check_depth_bits(path: str) -> None:
    """Refuse depths of 8 bits: 256 steps, and most often a picture of depths for the eye.

    Raises:
        ValueError: The file is one of 8 bits.
    """
    with _opened(path) as picture:
        if picture is not None and picture.mode in EIGHT_BITS:
            raise ValueError(
                f'{path} is an image of 8 bits ({picture.mode}), too few for depths: save them as '
                'a PNG of 16 bits.'
            )


@contextmanager
def _opened(path: str) -> Iterator[Image.Image | None]:
    """The file of which only the header has been read, if Pillow knows its format."""
    with fileio.get_local_path(path) as local:
        try:
            picture = Image.open(local)
        except OSError:
            picture = None
        try:
            yield picture
        finally:
            if picture is not None:
                picture.close()
