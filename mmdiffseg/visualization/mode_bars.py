"""How often each right answer is given, as bars."""

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

DPI = 100


def mode_bars(
    shares: Mapping[str, Mapping[str, float]], *, size: tuple[int, int] = (800, 260)
) -> NDArray[np.uint8]:
    """Draw the frequency of every mode, one bar beside the other for each series.

    Args:
        shares: Share in [0, 1] of every mode, for each series: ``{'raters': {'mode1': .4, ...},
            'samples': {...}}``. All series have the modes of the first.
        size: Width and height of the picture in pixels.

    Returns:
        Picture (H, W, 3) uint8 RGB.
    """
    modes = list(next(iter(shares.values())))
    places, width = np.arange(len(modes)), 0.8 / len(shares)
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, layout='constrained')
    axis = figure.subplots()
    for number, (series, of_mode) in enumerate(shares.items()):
        color = ('#282c34', '#3484db', '#e67e22', '#2eb85c')[number % 4]
        offset = (number - (len(shares) - 1) / 2) * width
        heights = [of_mode[mode] for mode in modes]
        axis.bar(places + offset, heights, width, label=series, color=color)
    axis.set(ylabel='frequency', xlim=(-0.6, len(modes) - 0.4))
    # more names than have room would run into each other
    every = max(1, round(len(modes) * 80 / size[0]))
    axis.set_xticks(places[::every], modes[::every])
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
