"""What the lines of Python in the table can use."""

import numpy as np  # noqa: F401
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import runner
from yapf.yapflib import yapf_api

import mmdiffseg  # noqa: F401
import mmdiffseg.models  # noqa: F401
from mmdiffseg import datasets, evaluation  # noqa: F401
from mmdiffseg.apis.in_context_inferencer import InContextInferencer, read_mask  # noqa: F401
from mmdiffseg.apis.referring_inferencer import ReferringInferencer  # noqa: F401
from mmdiffseg.registry import DATASETS, METRICS, MODELS, TRANSFORMS

torch.set_num_threads(1)
# what costs most of a run's start, and says nothing about bad input
yapf_api.FormatCode = lambda text, **options: (text, True)
runner.collect_env = dict


def build(kind, **settings):
    """Build anything of ours that a registry knows."""
    init_default_scope('mmseg')
    for registry in (MODELS, DATASETS, METRICS, TRANSFORMS):
        if registry.get(f'mmdiffseg.{kind}'):
            return registry.build(dict(type=f'mmdiffseg.{kind}', **settings))
    raise KeyError(kind)


def model(config, **changes):
    """Build the model of a config, with changes such as ``decode_head__steps=0``."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    cfg.merge_from_dict({f'model.{k.replace("__", ".")}': v for k, v in changes.items()})
    return MODELS.build(cfg.model)


def sample(config, split='val', index=0, **changes):
    """Load one sample of the data set of a config."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = cfg[f'{split}_dataloader'].dataset
    dataset.update(changes)
    return DATASETS.build(dataset)[index]
