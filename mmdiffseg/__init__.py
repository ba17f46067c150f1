"""Diffusion models for image segmentation, as ordinary OpenMMLab models."""

from mmdiffseg import compat
from mmdiffseg.version import __version__

compat.apply()

__all__ = ['__version__']
