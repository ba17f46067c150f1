"""Checkpoints of detectron2, which need not be installed.

For: weights trained with it. Its `.pth` files hold them under `model`, beside the state of the
optimizer; its `.pkl` files are pickles of NumPy arrays.
"""

import os
import pickle

import torch
from torch import Tensor

from mmdiffseg.compat.checkpoint import local_file, read_file


def load_detectron2_weights(
    path_or_url: str | os.PathLike, *, trust: bool = False
) -> dict[str, Tensor]:
    """Read the state dict of a `.pth` or `.pkl` file onto the CPU.

    Args:
        path_or_url: A local file, or a URL, which is downloaded once into torch.hub's folder.
        trust: Read a file that can run any code while it is read, as every `.pkl` can.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        ValueError: It is damaged, needs `trust`, or holds no weights under `model`.
    """
    path = local_file(path_or_url)
    if path.suffix == '.pkl':
        if not trust:
            raise ValueError(
                f'{path} is a pickle, which can run code when read: if you trust where it comes '
                'from, allow that with `trust=True` (`--trust`).'
            )
        with path.open('rb') as file:
            content = pickle.load(file, encoding='latin1')  # some were written by Python 2
    else:
        content = read_file(path, trust=trust)
    if not isinstance(content, dict) or 'model' not in content:
        held = list(content)[:5] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f'{path} is not a detectron2 checkpoint: it has no `model`, but {held}.')
    return {name: torch.as_tensor(value) for name, value in content['model'].items()}
