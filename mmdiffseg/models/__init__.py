"""Networks, one room a paper; importing this package registers all of them."""

from mmdiffseg.models import (
    backbones,
    ddp,
    dformer,
    in_context,
    referring,
    refine,
    segdiff,
    segmentors,
    stochastic,
)

__all__ = [
    'backbones',
    'ddp',
    'dformer',
    'in_context',
    'referring',
    'refine',
    'segdiff',
    'segmentors',
    'stochastic',
]
