"""The folder of an exported model: its graphs, and a file that says how to run them."""

from __future__ import annotations

import json
from pathlib import Path

#: version of the layout of `LOOP_FILE`; a runtime reads its own
LAYOUT = 1
LOOP_FILE = 'loop.json'
#: what every exported model has in it
PARTS = ('align_corners', 'defaults', 'format', 'kind', 'meta', 'pictures', 'readout', 'size')


def write_loop(folder: Path, loop: dict) -> None:
    """Write what a runtime has to know beside the graphs."""
    text = json.dumps({'layout': LAYOUT, **loop}, indent=1)
    (folder / LOOP_FILE).write_text(text + '\n', encoding='utf-8')


def read_loop(folder: str | Path) -> dict:
    """Read what `write_loop` wrote, and check that every graph is there.

    Raises:
        FileNotFoundError: The folder is not an exported model, or a graph is missing.
        ValueError: It was written by another version, or it is damaged, or names a graph elsewhere.
    """
    folder = Path(folder)
    file = folder / LOOP_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f'{folder} holds no {LOOP_FILE}, so it is not an exported model: make one by '
            f'mmdiffseg export MODEL --out {folder}'
        )
    try:
        loop = json.loads(file.read_text(encoding='utf-8'))
        layout = loop['layout']
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{file} is damaged: export the model again') from None
    if layout != LAYOUT:
        raise ValueError(
            f'{file} has the layout {layout}, and this version of mmdiffseg reads {LAYOUT}: export '
            f'the model again, or install the version that wrote it, {loop.get("mmdiffseg")}'
        )
    try:
        names = [graph['file'] for graph in loop['graphs'].values()]
        plain = all(name == Path(name).name for name in names) and {*PARTS} <= loop.keys()
    except (AttributeError, KeyError, TypeError):
        plain = False
    if not plain:
        raise ValueError(
            f'{file} is damaged: it must have {", ".join(PARTS)}, and graphs that lie beside it; '
            'export the model again'
        )
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f'{folder} lacks the graph {name}: copy the whole folder, or export the model again'
            )
    return loop
