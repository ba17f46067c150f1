"""Datasets and their transforms; importing this package registers all of them."""

from mmdiffseg.datasets import transforms

__all__ = ['transforms']
