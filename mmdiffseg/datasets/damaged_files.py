"""Files that cannot be loaded: the sentence names the file."""

import io
from typing import Any

import numpy as np
from mmengine import fileio
from PIL import Image


class NamesDamagedFiles:
    """Mixin for a dataset: decoders say what is wrong with a file, but not with which."""

    def prepare_data(self, idx: int) -> Any:
        """Load a sample.

        Raises:
            ValueError: A file of the sample is damaged.
        """
        try:
            return super().prepare_data(idx)
        except Exception as error:
            blame_damaged(error, paths_of(self.get_data_info(idx)), self)
            raise


def paths_of(sample: dict) -> list[str]:
    """The files of a sample."""
    return [path for key, path in sample.items() if key.endswith('_path')]


def blame_damaged(error: Exception, paths: list[str], dataset: Any = None) -> None:
    """Find out which file is to blame for an error in loading some, if one is.

    Args:
        error: The error.
        paths: The files.
        dataset: Whose they are; it may have ``backend_args``.

    Raises:
        ValueError: One of them is damaged.
    """
    said = any(str(path) in str(error) for path in paths)
    if not said or isinstance(error, AssertionError):  # mmcv asserts that a file decodes
        for path in paths:
            _check_decodes(path, getattr(dataset, 'backend_args', None))


def _check_decodes(path: str, backend_args: dict | None) -> None:
    content = io.BytesIO(fileio.get(path, backend_args=backend_args))
    try:
        if path.endswith(('.npy', '.npz')):
            np.load(content)
        else:
            Image.open(content).load()
    except Exception as error:  # decoders raise what they like
        size = content.getbuffer().nbytes
        raise ValueError(
            f'{path} ({size} bytes) is damaged or not a picture: get it again, or remove it '
            f'({type(error).__name__}: {error})'
        ) from error
