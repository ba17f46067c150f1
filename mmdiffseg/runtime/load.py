"""Loading an exported model by what it asks."""

from __future__ import annotations

from pathlib import Path

from mmdiffseg.runtime.folder import read_loop
from mmdiffseg.runtime.in_context import ExportedInContext
from mmdiffseg.runtime.segmenter import ExportedSegmenter


def load(folder: str | Path, *, threads: int | None = None) -> ExportedSegmenter:
    """Load an exported model, without torch; see :class:`ExportedSegmenter`.

    Args:
        folder: The folder.
        threads: Threads to run in; None leaves the choice to the library.

    Raises:
        FileNotFoundError: The folder is not an exported model, or a graph is missing.
        ModuleNotFoundError: The library that runs it is not installed.
        ValueError: It was written by another version.
    """
    loop = read_loop(folder)
    kind = ExportedInContext if loop['kind'] == 'in_context' else ExportedSegmenter
    return kind(folder, loop, threads=threads)
