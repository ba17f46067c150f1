"""Curves as a picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Curve = tuple[Sequence[float], Sequence[float]]


def curve_picture(
    curves: Mapping[str, Mapping[str, Curve]], *, xlabel: str, columns: int = 2
) -> NDArray[np.uint8]:
    """Draw curves, a plot for each quantity.

    Args:
        curves: For each quantity, which labels the vertical axis, the curves (x, y) by name.
        xlabel: Label of the horizontal axes.
        columns: Plots in a row.

    Returns:
        Picture (H, W, 3) uint8 RGB.
    """
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(5 * columns, 3.5 * rows), dpi=110, layout='constrained')
    plots = figure.subplots(rows, columns, squeeze=False).ravel()
    for plot, (quantity, of_quantity) in zip(plots, curves.items(), strict=False):
        for name, (x, y) in of_quantity.items():
            plot.plot(x, y, label=name, marker='o' if len(x) < 20 else None, markersize=4)
        plot.set(xlabel=xlabel, ylabel=quantity, ylim=(0, None))
        plot.grid(alpha=0.3)
        plot.spines[['top', 'right']].set_visible(False)
    plots[0].legend(fontsize='small')
    for plot in plots[len(curves) :]:
        plot.set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
