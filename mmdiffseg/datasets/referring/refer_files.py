"""The lists of references of REFER: ``refs(unc).p`` and its like."""

import pickle
from pathlib import Path
from typing import NoReturn

from mmdiffseg.datasets.files import read_json


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(
            f'the list of references asks for {module}.{name}, where lists, dicts, strings and '
            'numbers are enough: it is none, and is not loaded.'
        )


def read_refs(path: str | Path) -> list[dict]:
    """Read a list of references without running what a pickle may say.

    Args:
        path: A pickle as REFER's authors published them, of Python 2 or 3, or a ``.json`` of the
            same content.

    Raises:
        FileNotFoundError: There is no such file.
        pickle.UnpicklingError: A pickle holds more than plain data.
        ValueError: The file holds no list of references.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no list of references {path}: set data_root and split_file, see docs/datasets.md.'
        )
    if path.suffix == '.json':
        refs = read_json(path)
    else:
        with path.open('rb') as file:
            try:
                refs = _Unpickler(file, encoding='utf-8').load()
            except Exception as error:  # of damaged bytes pickle makes errors of many kinds
                kind = pickle.UnpicklingError if 'and is not loaded' in str(error) else ValueError
                raise kind(f'{path} is damaged or not a list of references: {error}') from error
    if not isinstance(refs, list) or not all(
        isinstance(ref, dict) and 'sentences' in ref for ref in refs
    ):
        raise ValueError(f'{path} holds no list of references with sentences.')
    return refs
