"""What runs around a model during training and testing."""

from mmdiffseg.engine import hooks

__all__ = ['hooks']
