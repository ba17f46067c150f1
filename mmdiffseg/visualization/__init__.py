"""Pure drawing functions: arrays in, pictures out."""

from mmdiffseg.visualization.admitted import admission_map, outline_overlay
from mmdiffseg.visualization.curves import curve_picture
from mmdiffseg.visualization.depth import depth_colours, depth_picture, relative_error
from mmdiffseg.visualization.film import write_film
from mmdiffseg.visualization.layers import layers_picture
from mmdiffseg.visualization.mode_bars import mode_bars
from mmdiffseg.visualization.overlay import (
    error_map,
    grey_map,
    heat_overlay,
    label_overlay,
    segment_overlay,
)
from mmdiffseg.visualization.panel import panel
from mmdiffseg.visualization.reliability import reliability_diagram

__all__ = [
    'admission_map',
    'curve_picture',
    'depth_colours',
    'depth_picture',
    'error_map',
    'grey_map',
    'heat_overlay',
    'label_overlay',
    'layers_picture',
    'mode_bars',
    'outline_overlay',
    'panel',
    'relative_error',
    'reliability_diagram',
    'segment_overlay',
    'write_film',
]
