"""Settings of a config that only fail, or say nothing, deep inside a run."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS

#: parts that are built of a dictionary, at any depth of a model
MODEL_PARTS = (
    'data_preprocessor',
    'backbone',
    'neck',
    'decode_head',
    'panoptic_head',
    'auxiliary_head',
    'denoiser',
    'noise_schedule',
    'diffusion_sampler',
    'label_encoder',
    'loss_decode',
)
PARTS = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper')


def check_settings(cfg: Config) -> None:
    """Check what several parts of a config have to agree on, before any of them is built.

    Raises:
        ValueError: A part is no dictionary, the scope is not installed, an ``init_cfg`` has no
            type, images would be divided by 0, the windows of a sliding inference leave pixels
            out, head and fusion head have other numbers of classes, the seed is out of range, or a
            training has no iteration or never saves.
    """
    for name in PARTS:
        part = cfg.get(name)
        if part is not None and not isinstance(part, dict):
            raise ValueError(f'{name}={part!r} must be a dictionary: change a setting in it')
    scope = cfg.get('default_scope')
    if scope and find_spec(scope) is None and scope not in MODELS.children:
        raise ValueError(f"default_scope={scope!r} is not installed: give 'mmseg' or 'mmdet'")
    _check_training(cfg)
    model = cfg.get('model') or {}
    for name in MODEL_PARTS:
        for part in _all(model, name):
            if isinstance(part, int | float | str) and part is not False:
                raise ValueError(f'{name}={part!r} must be a dictionary with a type')
    for init in _all(model, 'init_cfg'):
        for part in init if isinstance(init, list | tuple) else [init]:
            if part and 'type' not in part:
                raise ValueError(
                    f"init_cfg={dict(part)} has no type: add type='Pretrained' to read a checkpoint"
                )
    std = (model.get('data_preprocessor') or {}).get('std') or ()
    if not all(0 < value < math.inf for value in std):
        raise ValueError(f'data_preprocessor.std must be positive, got {std}')
    _check_windows(model.get('test_cfg') or {})
    head, fusion = model.get('panoptic_head'), model.get('panoptic_fusion_head')
    for name in ('num_things_classes', 'num_stuff_classes') if head and fusion else ():
        if name in head and name in fusion and head[name] != fusion[name]:
            raise ValueError(
                f'panoptic_head.{name} is {head[name]} and panoptic_fusion_head.{name} '
                f'{fusion[name]}: set both to what the data have'
            )


def _check_training(cfg: Config) -> None:
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not (type(seed) is int and 0 <= seed < 2**32):
        raise ValueError(
            f'the seed (--seed, randomness.seed) must be a whole number from 0 to {2**32 - 1}, '
            f'got {seed!r}'
        )
    train_cfg = cfg.get('train_cfg') or {}
    for name in ('max_iters', 'max_epochs'):
        length = train_cfg.get(name)
        if length is not None and not length >= 1:
            raise ValueError(f'train_cfg.{name} must be at least 1, got {length}')
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if checkpoint.get('interval') == 0:
        raise ValueError(
            'default_hooks.checkpoint.interval=0 would never save: give the number of iterations '
            'or epochs between two checkpoints, or -1 to save none on purpose'
        )


def _check_windows(test_cfg: dict) -> None:
    if test_cfg.get('mode') != 'slide':
        return
    sizes = [test_cfg.get(name) for name in ('crop_size', 'stride')]
    pairs = all(isinstance(size, list | tuple) and len(size) == 2 for size in sizes)
    if not pairs or not all(1 <= stride <= crop for crop, stride in zip(*sizes, strict=True)):
        raise ValueError(
            f'test_cfg of a sliding inference needs crop_size and stride, each (height, width), '
            f'with 1 <= stride <= crop_size, got {sizes[0]} and {sizes[1]}'
        )


def _all(part: Any, name: str) -> Iterator[Any]:
    """The values of a key anywhere within a config."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == name:
                yield value
            yield from _all(value, name)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _all(value, name)
