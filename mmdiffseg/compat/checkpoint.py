"""Checkpoints without arbitrary code: the one place that reads them.

For: mmengine 0.10.7, which writes a log history beside the weights that `torch.load` then refuses,
so that it can resume no run of its own; onedl-mmengine 0.10, which unpickles whatever a file holds
as soon as `weights_only` refuses it. Both also run the text of configs that lie in a checkpoint.
"""

import codecs
import functools
import inspect
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import quote, urlparse

import numpy as np
import torch
import yaml
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer, print_log

from mmdiffseg.compat.stored_config import check_stored_config

# The first digits of a file's SHA-256, as mmengine's and our own publishing tools append them.
# Decimal digits alone are more often a date.
HASH_IN_NAME = re.compile(r'-(?=[0-9]*[a-f])([0-9a-f]{8,64})\.\w+$')
STORED_CONFIGS = (('meta', 'config'), ('meta', 'cfg'), ('message_hub', 'runtime_info', 'cfg'))


def _history_method(owner: type, name: str) -> object:
    """Serve as `getattr` to the unpickler, for the one use that a log history makes of it."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(f'a checkpoint may not reach for {owner!r}.{name}')
    return getattr(owner, name)


# The name by which torch recognises it in the file
_history_method.__module__ = 'builtins'
_history_method.__name__ = _history_method.__qualname__ = 'getattr'


def _allow_log_history() -> None:
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
        ValueError: It is damaged, needs `trust`, holds no state dict, or a weight is not finite.
    """
    path = local_file(path_or_url)
    checkpoint = read_file(path, trust=trust)
    if isinstance(checkpoint, dict) and all(torch.is_tensor(v) for v in checkpoint.values()):
        checkpoint = {'state_dict': checkpoint}
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        held = list(checkpoint) if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise ValueError(
            f'{path} is not a state dict and has none under `state_dict`: it holds {held}.'
        )
    _check_named(checkpoint['state_dict'], path)
    _check_finite(checkpoint['state_dict'], path)
    return checkpoint


def local_file(path_or_url: str | os.PathLike) -> Path:
    """Find a file, downloading it once if it is a URL; see :func:`load_checkpoint_file`."""
    if '://' in str(path_or_url):
        return _download(str(path_or_url))
    path = Path(path_or_url).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    return path


def read_file(path: Path, *, trust: bool, map_location: Any = 'cpu') -> Any:
    """Read whatever a file of torch holds; see :func:`load_checkpoint_file`."""
    with _one_sentence(path):
        return torch.load(path, map_location=map_location, weights_only=not trust)


@contextmanager
def _one_sentence(source: str | os.PathLike) -> Iterator[None]:
    """Say of any error in reading a checkpoint which one it is and what can be done."""
    _allow_log_history()
    try:
        yield
    except UnpicklingError as error:
        raise ValueError(
            f'{source} is damaged or holds more than tensors and plain values, which can run code '
            'when read: if you trust where it comes from, allow that with `trust=True` (`--trust`).'
        ) from error
    except OSError:
        raise
    except Exception as error:  # of damaged bytes torch's reader makes errors of many kinds
        if str(source) in str(error):  # already said by an inner reader
            raise
        raise ValueError(f'{source} is damaged or not a torch checkpoint: {error!r}') from error


def _check_named(weights: Any, source: str | os.PathLike) -> None:
    """Refuse what is no state dict.

    Raises:
        ValueError: It does not hold tensors by their names.
    """
    named = isinstance(weights, dict) and all(isinstance(name, str) for name in weights)
    if not named or (weights and not any(map(torch.is_tensor, weights.values()))):
        raise ValueError(
            f'the `state_dict` in {source} does not map names to tensors: give a checkpoint that '
            'was saved with its weights'
        )


def _check_finite(weights: Any, source: str | os.PathLike) -> None:
    """Refuse weights from which no result can come.

    Raises:
        ValueError: One of them is sparse, NaN or infinite; the sentence names the first.
    """
    tensors = weights.items() if isinstance(weights, dict) else ()
    for name, value in tensors:
        if not torch.is_tensor(value):
            continue
        if value.layout is not torch.strided:
            raise ValueError(
                f'{source} holds {name} as {value.layout}, which no model here has: save it dense'
            )
        if not torch.isfinite(value).all():
            raise ValueError(
                f'{source} holds weights that are not finite, the first of them {name}: the '
                'training that wrote it had diverged, or the file is damaged; take an earlier one.'
            )


def _download(url: str) -> Path:
    """Download a file once; host and path stay in its name, so that two never share one.

    Where the name carries a hash, the content must have it.
    """
    parts = urlparse(url)
    folders = [quote(part) for part in (parts.netloc or 'local', *parts.path.split('/')) if part]
    if parts.query:
        folders[-1] += quote(f'?{parts.query}', safe='')
    if '..' in folders or '.' in folders:
        raise ValueError(f'{url} is not the plain address of a file: leave . and .. out')
    path = Path(torch.hub.get_dir(), 'checkpoints', *folders)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        known = HASH_IN_NAME.search(parts.path)
        try:
            # written under another name and renamed
            torch.hub.download_url_to_file(url, str(path), known and known[1])
        except OSError as error:
            raise FileNotFoundError(
                f'{url} cannot be downloaded ({error}): fetch it elsewhere and give the local path.'
            ) from error
        except RuntimeError as error:
            raise ValueError(
                f'{url} was damaged on its way or is not the file of that name ({error})'
            ) from error
    return path


def guard_mmengine(*, trust: bool = False) -> None:
    """Let everything that mmengine loads be read under the rules of this file.

    Args:
        trust: Unpickle whatever a file holds, and leave the configs in it as they are.
    """
    from mmengine.fileio.handlers import yaml_handler
    from mmengine.runner.checkpoint import CheckpointLoader

    # mmengine's own makes any Python object that a config or another file of YAML asks for
    yaml_handler.Loader = yaml.FullLoader

    def load_from_file(filename: str, map_location: Any = None) -> Any:
        if '://' in filename:
            if is_main_process():
                local_file(filename)
            barrier()  # the others find it downloaded
        return read_file(local_file(filename), trust=trust, map_location=map_location)

    schemes = dict(CheckpointLoader._schemes)
    schemes.update(dict.fromkeys(['', 'http://', 'https://'], load_from_file))
    for prefix, loader in schemes.items():
        loader = inspect.unwrap(loader)  # of an earlier call
        guarded = loader if trust else _guarded(loader)
        CheckpointLoader.register_scheme(prefix, guarded, force=True)


def _guarded(loader: Callable[..., Any]) -> Callable[..., Any]:
    """A loader of mmengine that runs no code, nor hands on what mmengine would run."""

    @functools.wraps(loader)
    def load(filename: str, *args, **kwargs) -> Any:
        with _one_sentence(filename), _weights_only():
            content = loader(filename, *args, **kwargs)
        if not isinstance(content, dict):
            raise ValueError(
                f'{filename} holds a {type(content).__name__} and no weights: give a checkpoint '
                'that was saved with its weights'
            )
        _drop_unsafe_configs(content, filename)
        if 'state_dict' in content:
            _check_named(content['state_dict'], filename)
        _check_finite(content.get('state_dict', content), filename)
        _check_finite(content.get('ema_state_dict'), filename)
        return content

    return load


@contextmanager
def _weights_only() -> Iterator[None]:
    """Let torch refuse to unpickle more than weights, even where it is asked to."""
    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
    before = os.environ.get(name)
    os.environ[name] = '1'
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _drop_unsafe_configs(checkpoint: dict, source: str) -> None:
    """Take out the configs that could run code; only loads without a config would read them."""
    for *keys, last in STORED_CONFIGS:
        holder = checkpoint
        for key in keys:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and last in holder:
            try:
                check_stored_config(holder[last])
            except ValueError as error:
                del holder[last]
                print_log(
                    f'The config stored in {source} is left out, because it could run code: '
                    f'{error}. Give a config file where one is asked for.',
                    'current',
                    logging.WARNING,
                )
