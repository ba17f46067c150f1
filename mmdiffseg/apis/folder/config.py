"""The config of a training on two folders: an experiment of ours with other data."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmdiffseg.apis.folder.check import RARE, Facts
from mmdiffseg.apis.folder.pairs import Pairs
from mmdiffseg.models.extras import find_source

#: crops are a multiple of it, as networks halve their maps, and no smaller
STRIDE = 32
#: what windows have in common with their neighbours
OVERLAP = 32
#: a GPU takes crops of so many times the side
GPU_SCALE = 2
#: learning rate of a training that goes on from a model, as a share of one from scratch
FINE_TUNING = 0.3


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to segment.

    Attributes:
        files: Configs below ``configs/``, of which later ones replace what earlier ones say.
        crop: Side of the largest training crops on a CPU.
        batch_size: Crops in a batch.
        changes: Of the config, for a training from scratch in minutes.
    """

    files: Sequence[str]
    crop: int
    batch_size: int
    changes: Mapping[str, Any]


METHODS = {
    'stochastic': Method(
        files=('stochastic/categorical_dsb2018.py', '_base_/schedules/adamw_3k_ema.py'),
        crop=160,
        batch_size=4,
        changes={'model.backbone.backbone.pretrained': None},
    ),
    'segdiff': Method(
        files=('segdiff/segdiff_small_shapes-classes.py', '_base_/schedules/segdiff_1500.py'),
        crop=96,
        batch_size=4,
        changes={
            # masks are learned sooner than noise; bounded, they cannot go astray
            'model.decode_head.prediction_type': 'x0',
            'model.decode_head.clip_denoised': True,
            'model.decode_head.diffusion_sampler.variance': 'fixed_small',
            'model.decode_head.steps': 10,
            'model.decode_head.generations': 3,
        },
    ),
    'ddp': Method(files=('ddp/ddp_r18_shapes.py',), crop=160, batch_size=4, changes={}),
}


def method_config(method: str, *, num_classes: int) -> ConfigDict:
    """Model, training and runtime of a method, without data.

    Args:
        method: One of ``METHODS``.
        num_classes: Number of classes.
    """
    cfg = _read(METHODS[method])
    head = cfg.model.decode_head
    head.num_classes = num_classes
    head.get('loss_decode', {}).pop('class_weight', None)  # of the classes of other data
    return cfg


def base_config(base: Mapping[str, Any]) -> ConfigDict:
    """A training that goes on from a model, without data.

    Args:
        base: Config of the model. Its crops and the way it shrinks pictures are kept.
    """
    cfg = _read(METHODS['stochastic'])
    cfg.optim_wrapper.optimizer.lr *= FINE_TUNING
    cfg.model = ConfigDict(_without_pretrained(base['model']))
    return cfg


def _without_pretrained(config: Any) -> Any:
    """A config whose parts start from no weights of their own, as those of the base follow."""
    if isinstance(config, Mapping):
        start = ('pretrained', 'init_cfg')
        return {k: None if k in start else _without_pretrained(v) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_without_pretrained, config))
    return config


def set_sizes(cfg: ConfigDict, facts: Facts, *, method: str, gpu: bool) -> list[dict]:
    """Choose the size of crops and windows for pictures of some sizes.

    Pictures are shrunk until a crop shows a quarter of one, on average over their areas.

    Args:
        cfg: The config of a model, changed in place.
        facts: The pictures.
        method: One of ``METHODS``.
        gpu: There is a GPU.

    Returns:
        The transforms that shrink a picture, none if it is small.
    """
    largest = METHODS[method].crop * (GPU_SCALE if gpu else 1)
    window = 2 * largest
    scale = min(1.0, round(window / facts.sizes.prod(axis=1).mean() ** 0.5, 3))
    smallest = int(facts.sizes.min() * scale)
    crop = max(min(largest, smallest // STRIDE * STRIDE), STRIDE)
    cfg.crop_size = (crop, crop)
    cfg.model.data_preprocessor.size = cfg.crop_size
    cfg.model.test_cfg.update(
        mode='slide', crop_size=(window, window), stride=(window - OVERLAP, window - OVERLAP)
    )
    return [dict(type='Resize', scale_factor=scale, keep_ratio=True)] if scale < 1 else []


def sizes_of(base: Mapping[str, Any]) -> tuple[tuple[int, int], list[dict]]:
    """The crops of a model, and the transforms by which it shrinks a picture."""
    pipeline = base['test_dataloader']['dataset']['pipeline']
    crop = base.get('crop_size') or base['model']['data_preprocessor']['size']
    return tuple(crop), [step for step in pipeline if step['type'].endswith('Resize')]


def _read(method: Method) -> ConfigDict:
    parts = [Config.fromfile(find_source(f'configs/{file}')) for file in method.files]
    cfg = ConfigDict({key: value for part in parts for key, value in part.items()})
    for name in ('dataset_type', 'data_root', 'check_labels', 'img_ratios', 'tta_pipeline'):
        cfg.pop(name, None)  # set_data says what replaces them
    cfg.train_dataloader.batch_size = method.batch_size
    cfg = Config(cfg)
    cfg.merge_from_dict(method.changes)
    return cfg._cfg_dict


def set_data(
    cfg: ConfigDict,
    pairs: Pairs,
    facts: Facts,
    *,
    split_files: Mapping[str, Path],
    shrink: Sequence[dict],
    gpu: bool,
) -> None:
    """Let a config read two folders.

    Args:
        cfg: The config of a model with its ``crop_size``, changed in place.
        pairs: The files.
        facts: What they hold.
        split_files: Lists of names for ``train`` and ``val``.
        shrink: Transforms that shrink a picture.
        gpu: There is a GPU.
    """
    load_train, load_test, pack = _loading(pairs, facts)
    # a crop of one class alone teaches little where the other is rare
    spread = dict(cat_max_ratio=1 - RARE) if facts.shares.min() < 5 * RARE else {}
    cfg.train_pipeline = [
        dict(type='LoadImageFromFile'),
        *load_train,
        *shrink,
        dict(type='RandomCrop', crop_size=cfg.crop_size, **spread),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmdiffseg.ColorJitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
        dict(type='PackSegInputs'),
    ]
    # labels are loaded after the resize: metrics are taken at the size of the original
    cfg.test_pipeline = [dict(type='LoadImageFromFile'), *shrink, *load_test, pack]
    dataset = _dataset(pairs, facts)
    workers = dict(num_workers=4 if gpu else 1, persistent_workers=True)
    cfg.train_dataloader = dict(
        batch_size=cfg.train_dataloader.batch_size,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=dict(**dataset, ann_file=str(split_files['train']), pipeline=cfg.train_pipeline),
        **workers,
    )
    cfg.val_dataloader = dict(
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(**dataset, ann_file=str(split_files['val']), pipeline=cfg.test_pipeline),
        **workers,
    )
    cfg.val_evaluator = _metric(cfg.model.type, pairs, facts)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator


def set_length(cfg: ConfigDict, iterations: int) -> None:
    """Stretch or shrink the training to a number of iterations, the last of which is scored."""
    ratio = iterations / cfg.train_cfg.max_iters
    for scheduler in cfg.param_scheduler:
        for name in ('begin', 'end'):
            if name in scheduler:
                scheduler[name] = round(scheduler[name] * ratio)
        # a warm-up of no iterations is none
        scheduler.end = max(scheduler.end, scheduler.begin + 1)
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.train_cfg.pop('val_begin', None)
    cfg.default_hooks.checkpoint = dict(
        type='mmdiffseg.WholeCheckpointHook',
        by_epoch=False,
        interval=max(iterations // 10, 1),
        max_keep_ckpts=1,
    )
    for hook in cfg.custom_hooks:
        if 'EMAHook' in hook.type:  # over about a twentieth of the training
            hook.momentum = min(max(20 / iterations, 1e-4), 0.2)


def _loading(pairs: Pairs, facts: Facts) -> tuple[list[dict], list[dict], dict]:
    """How labels are loaded for training and testing, and what packs a sample for testing."""
    if pairs.raters:
        return (
            [dict(type='mmdiffseg.DrawRater')],
            [dict(type='mmdiffseg.LoadRaters')],
            dict(type='mmdiffseg.PackRaterInputs'),
        )
    if facts.foreground is not None:
        load = [dict(type='mmdiffseg.LoadBinaryMask')]
    else:
        load = [
            dict(type='LoadAnnotations'),
            dict(type='mmdiffseg.CheckLabels', num_classes=len(facts.classes)),
        ]
    return load, load, dict(type='PackSegInputs')


def _dataset(pairs: Pairs, facts: Facts) -> dict:
    """The data set without its list of names and its pipeline."""
    files = dict(
        metainfo=dict(classes=tuple(facts.classes), palette=facts.palette),
        img_suffix=pairs.image_suffix,
        seg_map_suffix=pairs.mask_suffix,
    )
    if pairs.raters:
        return dict(
            type='mmdiffseg.MultiRaterDataset',
            data_root=str(root := Path(os.path.commonpath(pairs.mask_dirs))),
            data_prefix=dict(img_path=str(pairs.image_dir)),
            # below this root, the first part of each folder tells raters apart
            raters=[str(folder.relative_to(root)) for folder in pairs.mask_dirs],
            foreground=facts.foreground,
            **files,
        )
    root = Path(os.path.commonpath([pairs.image_dir, *pairs.mask_dirs]))
    folders = dict(img_path=pairs.image_dir, seg_map_path=pairs.mask_dirs[0])
    files['data_root'] = str(root)
    files['data_prefix'] = {key: str(path.relative_to(root)) for key, path in folders.items()}
    if facts.foreground is not None:
        return dict(type='mmdiffseg.BinarySegDataset', foreground=facts.foreground, **files)
    return dict(type='mmdiffseg.SegFolderDataset', **files)


def _metric(model: str, pairs: Pairs, facts: Facts) -> dict:
    if pairs.raters:
        return dict(type='mmdiffseg.DistributionMetric')
    if len(facts.classes) > 2:
        return dict(type='IoUMetric', iou_metrics=['mIoU'])
    plain = model.removeprefix('mmseg.') == 'EncoderDecoder'
    return dict(type='mmdiffseg.BinaryMaskMetric', from_logits=plain)
