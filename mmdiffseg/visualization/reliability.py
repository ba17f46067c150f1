"""Reliability diagrams."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def reliability_diagram(
    sums: NDArray[np.float64], *, event: str = 'foreground'
) -> NDArray[np.uint8]:
    """Draw how often an event happens, such as foreground, against its predicted probability.

    Args:
        sums: Pixels, summed probability and events of each bin of equal width, (3, B).
        event: What it is called.

    Returns:
        Picture (H, W, 3) uint8 RGB: frequencies above, numbers of pixels below.
    """
    pixels, prob, foreground = sums
    filled = pixels > 0
    edges = np.linspace(0, 1, len(pixels) + 1)
    figure = Figure(figsize=(5, 6), dpi=120, layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    frequency = np.divide(foreground, pixels, out=np.zeros_like(pixels), where=filled)
    bars = dict(width=1 / len(pixels), align='edge', color='#3484db', edgecolor='white')
    upper.bar(edges[:-1], frequency, **bars)
    upper.plot([0, 1], [0, 1], '--', color='#282c34', linewidth=1, label='calibrated')
    # a bar's own mean, where it differs from the middle of the bin
    upper.plot(
        prob[filled] / pixels[filled], frequency[filled], 'o', color='#e74c3c', label='mean of bin'
    )
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel=f'frequency of {event}')
    upper.legend(loc='upper left')
    lower.bar(edges[:-1], pixels, **bars)
    lower.set(yscale='log', ylim=(0.7, None), xlabel=f'probability of {event}', ylabel='pixels')
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
