"""The files a data set consists of: read, and looked for, with their names in every error."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from mmengine import fileio


def read_json(path: str | Path, *, backend_args: dict | None = None) -> Any:
    """Read a file of JSON, whatever its suffix.

    Raises:
        ValueError: It is not JSON; the sentence names the file and the place.
    """
    try:
        return json.loads(fileio.get(str(path), backend_args=backend_args))
    except ValueError as error:  # also of text that is not UTF-8
        raise ValueError(f'{path} is damaged or not JSON: {error}') from error


def read_parts(path: str | Path, *parts: str, backend_args: dict | None = None) -> dict:
    """Read a file of JSON that holds some parts by their names.

    Raises:
        ValueError: It is not JSON, or lacks one of them.
    """
    content = read_json(path, backend_args=backend_args)
    missing = [p for p in parts if p not in content] if isinstance(content, dict) else parts
    if missing:
        raise ValueError(f'{path} holds no {missing[0]}: give a file that holds {", ".join(parts)}')
    return content


def read_text(path: str | Path, *, backend_args: dict | None = None) -> str:
    """Read a text file.

    Raises:
        ValueError: It is no text in UTF-8; the sentence names the file.
    """
    try:
        return fileio.get(str(path), backend_args=backend_args).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is damaged or not text: {error}') from error


def check_files(
    paths: Sequence[str], *, what: str, fix: str, backend_args: dict | None = None
) -> None:
    """Look for files before anything is done with them.

    Args:
        paths: Their paths.
        what: What they are and whose, as in ``KITTIDepthDataset: ... files in train.txt``.
        fix: What can be done.
        backend_args: How mmengine reaches them.

    Raises:
        FileNotFoundError: Some are missing; the sentence gives the number and the first.
    """
    paths = [str(path) for path in paths]
    there = set()
    # One listing a folder instead of a look at every file: file systems over a network are slow.
    for folder in {str(PurePath(path).parent) for path in paths if '://' not in path}:
        if fileio.isdir(folder, backend_args=backend_args):
            names = fileio.list_dir_or_file(folder, list_dir=False, backend_args=backend_args)
            there.update(fileio.join_path(folder, name) for name in names)
    missing = [path for path in paths if path not in there]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(paths)} {what} are missing, the first is {missing[0]}: {fix}'
        )
