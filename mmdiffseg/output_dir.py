"""Folders for results, in which nothing is overwritten that was there before."""

import os
from collections.abc import Iterable
from pathlib import Path

MARK = '.unfinished'


def claim_output_dir(
    folder: str | Path, *, inputs: Iterable[str | Path] = (), overwrite: bool = False
) -> Path:
    """Make a folder for results, and mark it as unfinished.

    What a run has left that did not come to its end may be overwritten by the next one. Any number
    of processes can claim the same folder before they write to it.

    Args:
        folder: Where the results go.
        inputs: Folders in which, and files beside which, no result may be written.
        overwrite: Take a folder that holds other files.

    Returns:
        The folder; :func:`finish_output_dir` takes the mark away.

    Raises:
        FileExistsError: It holds inputs or, without ``overwrite``, anything else.
    """
    folder = Path(folder)
    for source in map(Path, inputs):
        place = folder.resolve()
        if place == source.resolve().parent or place.is_relative_to(source.resolve()):
            raise FileExistsError(
                f'results would be written to {folder}, among the inputs ({source}): choose '
                'another folder'
            )
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'{folder} is a file: choose a folder for the results')
    mark = folder / MARK
    if not overwrite and folder.is_dir() and any(folder.iterdir()) and not mark.exists():
        raise FileExistsError(
            f'{folder} is not empty: choose another folder, remove it, or give --overwrite'
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return folder


def check_new_file(file: Path, *, overwrite: bool) -> None:
    """Look whether a result would replace a file.

    Raises:
        FileExistsError: It would, without ``overwrite``.
    """
    if file.exists() and not overwrite:
        raise FileExistsError(f'{file} exists: choose another --out, or give --overwrite')


def check_writable(path: Path) -> None:
    """Look whether a file or folder can be made, before anything is computed for it.

    Raises:
        NotADirectoryError: What should be a folder above it is a file.
        PermissionError: Nothing may be written there.
    """
    place = next(parent for parent in path.absolute().parents if parent.exists())
    if not place.is_dir():
        raise NotADirectoryError(f'{path} cannot be written: {place} is a file')
    if not os.access(place, os.W_OK):
        raise PermissionError(f'{path} cannot be written: {place} is read-only')


def finish_output_dir(folder: str | Path) -> None:
    """Say that all results are there, so that no later run overwrites them unasked."""
    Path(folder, MARK).unlink(missing_ok=True)
