"""The lists that LDIS' authors released: ``meta_<split>.npy``, a pickled pair."""

import pickle
from typing import Any

import numpy as np

# What a pickled array of dicts and lists of strings is made of, under numpy 1 and 2.
ALLOWED = {
    (module, name)
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    for name in ('_reconstruct', 'scalar')
} | {
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    ('collections', 'defaultdict'),
    ('collections', 'OrderedDict'),
    ('builtins', 'list'),
    ('builtins', 'set'),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(
                f'the lists ask for {module}.{name}: they are no lists, and are not loaded.'
            )
        return super().find_class(module, name)


def read_released_lists(path: str) -> dict[str, list[str]]:
    """Read the second of the pair, names of pictures by key, without running what a pickle may say.

    Args:
        path: A ``meta_*.npy``.

    Raises:
        pickle.UnpicklingError: The file holds more than arrays, dicts and lists.
        ValueError: It is damaged, or holds no pair of which the second is a dict.
    """
    try:
        with open(path, 'rb') as file:
            version = np.lib.format.read_magic(file)
            header = {
                1: np.lib.format.read_array_header_1_0,
                2: np.lib.format.read_array_header_2_0,
            }
            header[version[0]](file)
            pair = _Unpickler(file, encoding='latin1').load()
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(f'{path} is damaged or holds no lists: {error}') from error
    except Exception as error:  # of damaged bytes the readers make errors of many kinds
        raise ValueError(f'{path} is damaged or holds no lists: {error!r}') from error
    pair = pair.item() if isinstance(pair, np.ndarray) and pair.ndim == 0 else pair
    if not hasattr(pair, '__len__') or len(pair) != 2 or not isinstance(pair[1], dict):
        raise ValueError(f'{path} holds no pair (anything, names by key).')
    return {str(key): [str(name) for name in names] for key, names in pair[1].items()}
