"""Pure drawing functions: arrays in, pictures out."""

from mmdiffseg.visualization.film import write_film
from mmdiffseg.visualization.overlay import error_map, grey_map, heat_overlay, label_overlay
from mmdiffseg.visualization.panel import panel
from mmdiffseg.visualization.reliability import reliability_diagram

__all__ = [
    'error_map',
    'grey_map',
    'heat_overlay',
    'label_overlay',
    'panel',
    'reliability_diagram',
    'write_film',
]
