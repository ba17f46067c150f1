"""How each kind of model is asked about pictures, behind one interface."""

from typing import Any

from torch import nn

from mmdiffseg.apis.tasks.in_context import InContextTask
from mmdiffseg.apis.tasks.ordinary import OrdinaryTask
from mmdiffseg.apis.tasks.referring import ReferringTask
from mmdiffseg.apis.tasks.refining import RefineTask
from mmdiffseg.models.in_context import InContextSegmentor
from mmdiffseg.models.referring import RefDiff
from mmdiffseg.models.refine import MaskRefiner

Task = OrdinaryTask | InContextTask | ReferringTask | RefineTask


def task_of(model: nn.Module, config: Any) -> Task:
    """Find how a model is asked.

    Args:
        model: The model.
        config: Its config, whose test pipeline says how pictures are prepared.

    Raises:
        ValueError: The model reads no pictures.
    """
    if isinstance(model, RefDiff):
        return ReferringTask(model)
    if isinstance(model, InContextSegmentor):
        return InContextTask(model)
    if isinstance(model, MaskRefiner):
        return RefineTask(model)
    return OrdinaryTask(model, config)


__all__ = ['InContextTask', 'OrdinaryTask', 'RefineTask', 'ReferringTask', 'Task', 'task_of']
