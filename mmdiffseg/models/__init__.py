"""Networks; importing this package registers all of them."""

from mmdiffseg.models import (
    backbones,
    denoisers,
    heads,
    in_context,
    layers,
    losses,
    necks,
    referring,
    segmentors,
)

__all__ = [
    'backbones',
    'denoisers',
    'heads',
    'in_context',
    'layers',
    'losses',
    'necks',
    'referring',
    'segmentors',
]
