"""Which plan exports which kind of model."""

from mmengine.config import Config
from torch import nn

from mmdiffseg.apis.exporting.headed import HeadedPlan
from mmdiffseg.apis.exporting.in_context import InContextPlan
from mmdiffseg.models.in_context import InContextSegmentor


def plan_of(model: nn.Module, config: Config) -> HeadedPlan | InContextPlan:
    """Find how a model is exported.

    Raises:
        TypeError: It cannot be.
        ValueError: Something of it cannot be repeated by a runtime.
    """
    if isinstance(model, InContextSegmentor):
        return InContextPlan(model)
    return HeadedPlan(model, config)
