"""Pure drawing functions: arrays in, pictures out."""

from mmdiffseg.visualization.film import write_film
from mmdiffseg.visualization.overlay import error_map, heat_overlay, label_overlay
from mmdiffseg.visualization.panel import panel

__all__ = ['error_map', 'heat_overlay', 'label_overlay', 'panel', 'write_film']
