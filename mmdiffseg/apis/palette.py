"""Colours of classes that nobody has given any."""

from collections.abc import Sequence

import numpy as np

BACKGROUND = (40, 44, 52)


def colours(classes: Sequence[str]) -> list[list[int]]:
    """A colour for each class, strong ones first; a background is dark."""
    import matplotlib  # takes its time, and most exported models need no colours

    table = (255 * np.array(matplotlib.colormaps['tab20'].colors)).astype(int)
    table = [*table[::2].tolist(), *table[1::2].tolist()]
    start = int(bool(classes) and classes[0] == 'background')
    found = [table[number % len(table)] for number in range(len(classes) - start)]
    return [list(BACKGROUND)] * start + found
