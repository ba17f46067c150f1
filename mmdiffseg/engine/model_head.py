"""Where a model of mmseg or mmdet keeps its head."""

from torch import nn


def model_head(model: nn.Module) -> nn.Module | None:
    """The head that answers, or None; a cascade's is the ``ModuleList`` of all its heads."""
    return getattr(model, 'decode_head', None) or getattr(model, 'panoptic_head', None)
