"""Registries of mmdiffseg.

Each child registry hangs below the mmengine root of the same name, so that a config of any host
(`default_scope = 'mmseg'` or `'mmdet'`) reaches ours by the prefix `mmdiffseg.`. The first look-up
imports the named locations and nothing else; until then `import mmdiffseg` stays light.
"""

from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry, build_from_cfg

SCOPE = 'mmdiffseg'


def _child(parent: Registry, location: str) -> Registry:
    return Registry(parent.name, scope=SCOPE, parent=parent, locations=[location])


MODELS = _child(MMENGINE_MODELS, 'mmdiffseg.models')
TASK_UTILS = _child(MMENGINE_TASK_UTILS, 'mmdiffseg.models')
DATASETS = _child(MMENGINE_DATASETS, 'mmdiffseg.datasets')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'mmdiffseg.datasets')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'mmdiffseg.datasets.transforms')
METRICS = _child(MMENGINE_METRICS, 'mmdiffseg.evaluation')
HOOKS = _child(MMENGINE_HOOKS, 'mmdiffseg.engine.hooks')
MODEL_WRAPPERS = _child(MMENGINE_MODEL_WRAPPERS, 'mmdiffseg.engine.model_wrappers')
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'mmdiffseg.engine.optim_wrappers')


def _build_in_scope(cfg: dict, *, registry: Registry, default_args: dict | None = None) -> Any:
    # A root of ours has no child for the host's scope; without `_scope_` mmengine would warn about
    # that on every build inside an `mmseg` or `mmdet` config.
    return build_from_cfg({**cfg, '_scope_': SCOPE}, registry, default_args)


def _root(name: str) -> Registry:
    return Registry(
        name, scope=SCOPE, build_func=_build_in_scope, locations=['mmdiffseg.diffusion']
    )


NOISE_SCHEDULES = _root('noise schedule')
SAMPLERS = _root('sampler')
LABEL_ENCODERS = _root('label encoder')
