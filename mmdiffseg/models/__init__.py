"""Networks; importing this package registers all of them."""

from mmdiffseg.models import backbones, denoisers, heads, layers, losses, necks, segmentors

__all__ = ['backbones', 'denoisers', 'heads', 'layers', 'losses', 'necks', 'segmentors']
