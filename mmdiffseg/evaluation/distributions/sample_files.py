"""Files of the samples and raters of one image, from tools that draw to tools that score."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_samples(
    path: Path, *, samples: NDArray, raters: NDArray, weights: NDArray | None = None
) -> None:
    """Write the label maps of one image.

    Args:
        path: File ``*.npz`` to write.
        samples: Label maps (S, H, W), integers below 256.
        raters: Label maps (R, H, W).
        weights: Weights (R,) of the raters; None for equal ones.
    """
    maps = dict(samples=samples.astype(np.uint8), raters=raters.astype(np.uint8))
    if weights is not None:
        maps['weights'] = np.asarray(weights)
    np.savez_compressed(path, **maps)


def read_samples(path: Path) -> dict[str, NDArray]:
    """Read what :func:`write_samples` wrote, without running what a file may say.

    Returns:
        ``samples``, ``raters`` and, where they were given, ``weights``.

    Raises:
        ValueError: The file is damaged, or its maps do not fit each other.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            maps = dict(file)
        samples, raters = maps['samples'], maps['raters']
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} cannot be read as samples and raters: {error}') from error
    if samples.shape[1:] != raters.shape[1:] or not len(samples) or not len(raters):
        raise ValueError(f'{path}: samples {samples.shape} and raters {raters.shape} do not fit')
    return maps
