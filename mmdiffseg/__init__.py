"""Diffusion models for image segmentation, as ordinary OpenMMLab models."""

from mmdiffseg.version import __version__

__all__ = ['__version__']
