"""Checkpoints without arbitrary code.

For: torch >= 2.6, whose `torch.load` refuses the log history that mmengine writes beside the
weights. Upstream mmengine 0.10.7 can then resume no run of its own; onedl-mmengine 0.10 unpickles
whatever the file holds.
"""

import codecs
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def _history_method(owner: type, name: str) -> object:
    """Serve as `getattr` to the unpickler, for the one use that a log history makes of it."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(f'a checkpoint may not reach for {owner!r}.{name}')
    return getattr(owner, name)


# The names by which torch recognises it in the file: torch 2.4 goes by `__name__`
_history_method.__module__ = 'builtins'
_history_method.__name__ = _history_method.__qualname__ = 'getattr'


def allow_log_history() -> None:
    """Let `torch.load(weights_only=True)` read mmengine's log history: numbers, no code."""
    rebuild_array, rebuild_scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    dtypes = [getattr(np.dtypes, name) for name in np.dtypes.__all__]
    numbers = [np.ndarray, np.dtype, rebuild_array, rebuild_scalar, codecs.encode, *dtypes]
    torch.serialization.add_safe_globals([HistoryBuffer, _history_method, *numbers])


def load_checkpoint_file(path_or_url: str | os.PathLike, *, trust: bool = False) -> dict:
    """Read a checkpoint onto the CPU.

    Args:
        path_or_url: A local file, or a URL, which is downloaded once into torch.hub's folder.
        trust: Unpickle a file that holds more than tensors and plain values. It can run any code.

    Returns:
        The checkpoint, its weights under `state_dict`; a bare state dict is put there.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        ValueError: It is damaged, needs `trust`, or holds no state dict.
    """
    path = local_file(path_or_url)
    checkpoint = read_file(path, trust=trust)
    if isinstance(checkpoint, dict) and 'state_dict' in checkpoint:
        return checkpoint
    if isinstance(checkpoint, dict) and all(torch.is_tensor(v) for v in checkpoint.values()):
        return {'state_dict': checkpoint}
    held = list(checkpoint) if isinstance(checkpoint, dict) else type(checkpoint).__name__
    raise ValueError(f'{path} holds no `state_dict` and is none itself: it holds {held}.')


def local_file(path_or_url: str | os.PathLike) -> Path:
    """Find a file, downloading it once if it is a URL; see :func:`load_checkpoint_file`."""
    path = _download(str(path_or_url)) if '://' in str(path_or_url) else Path(path_or_url)
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    return path


def read_file(path: Path, *, trust: bool) -> Any:
    """Read whatever a file of torch holds; see :func:`load_checkpoint_file`."""
    allow_log_history()
    try:
        return torch.load(path, map_location='cpu', weights_only=not trust)
    except UnpicklingError as error:
        raise ValueError(
            f'{path} is damaged or holds more than tensors and plain values, which can run code '
            'when read: if you trust where it comes from, allow that with `trust=True` (`--trust`).'
        ) from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(f'{path} is damaged or no checkpoint of torch: {error}') from error


def _download(url: str) -> Path:
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path))
        except OSError as error:
            raise FileNotFoundError(
                f'{url} cannot be downloaded ({error}): fetch it elsewhere and give the local path.'
            ) from error
    return path
