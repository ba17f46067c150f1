"""What the tools share: changes to a config before a runner is built, and mmseg's own tools.

Torch and the models are imported by what needs them, after bad arguments have been refused.
"""

import inspect
import runpy
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import mmseg
from mmengine.config import Config, ConfigDict
from mmengine.registry import METRICS, MODELS, Registry

from mmdiffseg.compat.late_imports import hidden
from mmdiffseg.compat.yapf_grammar import import_yapf
from mmdiffseg.output_dir import claim_output_dir

if TYPE_CHECKING:
    from mmengine.runner import Runner


def datasets_of(cfg: Config, *splits: str) -> Iterator[ConfigDict]:
    """The innermost dataset configs of some splits, inside any wrappers.

    Args:
        cfg: The config.
        splits: Any of ``train``, ``val`` and ``test``; splits the config lacks are passed over.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            yield from _innermost(loader.dataset)


def _innermost(dataset: ConfigDict) -> Iterator[ConfigDict]:
    wrapped = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    if not wrapped:
        yield dataset
        return
    for inner in wrapped:
        yield from _innermost(inner)


def metrics_of(cfg: Config, *splits: str) -> Iterator[ConfigDict]:
    """The metrics of some splits; splits without any are passed over."""
    for split in splits:
        metrics = cfg.get(f'{split}_evaluator') or []
        yield from metrics if isinstance(metrics, list | tuple) else [metrics]


def set_data_root(cfg: Config, root: str) -> None:
    """Point the datasets and their metrics at ``root``, a folder laid out as the config expects.

    Metrics of COCO read annotations themselves, by paths that start with the root of the data.
    """
    old_roots = set()
    for dataset in datasets_of(cfg, 'train', 'val', 'test'):
        old_roots.add(dataset.get('data_root'))
        dataset.data_root = root
    for metric in metrics_of(cfg, 'val', 'test'):
        for name in ('ann_file', 'seg_prefix'):
            path = metric.get(name) or ''
            old = next((old for old in old_roots if path.startswith(f'{old}/')), None)
            if old is not None:
                metric[name] = root + path.removeprefix(old)


def set_split(cfg: Config, name: str) -> None:
    """Choose the part of the data that a run is about, such as ``testA``, or a fold.

    A config lists what it can choose as ``splits``: for each name, the settings to change as keys
    and values of ``--cfg-options``.

    Raises:
        ValueError: If the config has no such split.
    """
    splits = cfg.get('splits') or {}
    if name not in splits:
        raise ValueError(
            f'--split {name}: the splits of {cfg.filename} are {", ".join(splits)}'
            if splits
            else f'--split {name}: {cfg.filename} has no splits, leave it out'
        )
    cfg.merge_from_dict(splits[name])


def check_data_roots(cfg: Config, *splits: str) -> None:
    """Look for the data before anything heavy is built.

    Raises:
        FileNotFoundError: If a dataset of one of the splits has a ``data_root`` that is not there.
    """
    for dataset in datasets_of(cfg, *splits):
        root = dataset.get('data_root')
        if root and '://' not in root and not Path(root).is_dir():
            raise FileNotFoundError(
                f'data_root {root!r} of {dataset.type} is not a folder: prepare the data there or '
                'pass --data-root'
            )


def check_annotations(cfg: Config, *splits: str) -> None:
    """Read the annotations of COCO's metrics, which would not name a file that is damaged.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON in the format of COCO.
    """
    from mmdiffseg.datasets.files import read_parts

    for metric in metrics_of(cfg, *splits):
        path = metric.get('ann_file')
        if path and metric.type.rpartition('.')[2] in ('CocoMetric', 'CocoPanopticMetric'):
            if '://' not in path and not Path(path).is_file():
                raise FileNotFoundError(f'there is no annotation file {path} of {metric.type}')
            backend_args = metric.get('backend_args')
            read_parts(path, 'images', 'annotations', 'categories', backend_args=backend_args)


def check_checkpoint(path: str) -> None:
    """Look for a checkpoint before anything heavy is imported.

    Raises:
        FileNotFoundError: It is neither a file, nor the folder of a sharded one, nor a URL.
    """
    if '://' not in path and not Path(path).exists():
        raise FileNotFoundError(f'there is no checkpoint {path}')


def import_models(cfg: Config) -> None:
    """Import mmseg's models and mmdet's; without transformers if none of theirs reads language."""
    with nullcontext() if 'language_model' in cfg.model else hidden('transformers'):
        import mmseg.models  # noqa: F401


def set_head_option(cfg: Config, name: str, value: int) -> None:
    """Set an argument that only models that sample have: ``steps`` or ``seed``.

    Raises:
        ValueError: Neither the head nor the model takes it.
    """
    model = cfg.model
    parts = [model.get('decode_head'), model.get('panoptic_head'), model]
    part = next((part for part in parts if part and takes(part, name)), None)
    if part is None:
        kind = next(part for part in parts if part).type
        raise ValueError(
            f'--{name} {value} is for models that sample, such as DDP, SegDiff, DFormer and '
            f'RefLDMSegMultiStep: {kind} takes no {name}'
        )
    part[name] = value


def set_output_dir(cfg: Config, folder: str, *, overwrite: bool = False) -> None:
    """Let the metrics that can write the predictions to a folder.

    Raises:
        ValueError: None of them can, as mmdet's, which write other files.
        FileExistsError: The folder holds data or, without ``overwrite``, other files.
    """
    if cfg.get('default_scope') == 'mmdet':
        raise ValueError(
            f'--out {folder} is for the label maps of mmseg models; for instances in the format of '
            'COCO, give CocoMetric a prefix of the files: --cfg-options '
            'test_evaluator.1.outfile_prefix=PREFIX, or without the .1 if it is the only metric'
        )
    metrics = list(metrics_of(cfg, 'test'))
    writers = [metric for metric in metrics if takes(metric, 'output_dir', METRICS)]
    if not writers:
        raise ValueError(
            f'--out {folder} is for metrics that write predictions, and '
            f'{" and ".join(metric.type for metric in metrics)} does not: leave it out, or give '
            '--show-dir for pictures'
        )
    claim_output_dir(folder, inputs=data_folders(cfg), overwrite=overwrite)
    for metric in writers:
        metric.output_dir = folder


def data_folders(cfg: Config) -> set[Path]:
    """Where images and labels of all splits are read."""
    return {
        Path(dataset.get('data_root') or '', prefix)
        for dataset in datasets_of(cfg, 'train', 'val', 'test')
        for prefix in (dataset.get('data_prefix') or {}).values()
    }


def takes(component: ConfigDict, argument: str, registry: Registry = MODELS) -> bool:
    """Whether the class a component is built from has a constructor argument, or a base."""
    bases = class_of(component, registry).__mro__[:-1]
    return any(argument in inspect.signature(cls).parameters for cls in bases)


def class_of(component: ConfigDict, registry: Registry) -> type:
    """The class a component is built from.

    Raises:
        ValueError: There is none of that name.
    """
    with registry.switch_scope_and_registry('mmseg') as host:
        kind = host.get(component.type)
    if kind is None:
        raise ValueError(
            f'type={component.type!r} is not a registered {host.name} of {host.scope}: correct it, '
            'or import the module that registers it by custom_imports'
        )
    return kind


def show_diffusion(cfg: Config) -> None:
    """Let a diffusion head inside a plain segmentor of mmseg report uncertainty and steps."""
    ours = dict(EncoderDecoder='DiffusionEncoderDecoder', DepthEstimator='DiffusionDepthEstimator')
    plain = cfg.model.type.removeprefix('mmseg.')
    if plain in ours and takes(cfg.model.decode_head, 'steps'):
        cfg.model.type = f'mmdiffseg.{ours[plain]}'


def seed_augmentation(cfg: Config) -> None:
    """Make the training augmentation a function of the seed, so that a resumed run repeats it.

    A plain ``InfiniteSampler`` gives way to its twin that sends seeds along; other samplers and
    settings stay as they are.
    """
    loader = cfg.train_dataloader
    if loader.sampler.type == 'InfiniteSampler':
        loader.sampler.type = 'mmdiffseg.SeededInfiniteSampler'
        loader.dataset = dict(type='mmdiffseg.SeededDataset', dataset=loader.dataset)


def allow_cpu_processes(cfg: Config) -> None:
    """Let several processes of a launcher share a machine without a GPU.

    mmengine's launcher and model wrapper take one GPU per process for granted. Without any, the
    processes are joined here, by gloo unless the config names a backend other than nccl.
    """
    import torch
    from mmengine.device import get_device

    if cfg.launcher != 'pytorch' or get_device() != 'cpu':
        return
    backend = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('backend', 'nccl')
    torch.distributed.init_process_group('gloo' if backend == 'nccl' else backend)
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        ),
    )


def build_runner(cfg: Config, *, trust: bool = False) -> 'Runner':
    """Build the runner that trains or tests, on as many CPU processes as there are.

    Args:
        cfg: The config.
        trust: Read checkpoints even if they could run any code.
    """
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from mmdiffseg.compat.checkpoint import guard_mmengine

    allow_cpu_processes(cfg)
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []),
        dict(type='mmdiffseg.ClassCountHook'),
        dict(type='mmdiffseg.PredictionNamesHook'),
    ]
    if trust:
        guard_mmengine(trust=True)
    import_yapf()  # the runner prints the config by it
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def run_mmseg_tool(name: str) -> None:
    """Run a script of mmseg's ``tools`` folder with the arguments of this process.

    ``--debug`` and ``--overwrite`` are ours and not handed on.

    Args:
        name: Its path in that folder.

    Raises:
        FileNotFoundError: If mmseg was installed without its tools.
    """
    script = Path(mmseg.__file__).parent / '.mim/tools' / name
    if not script.exists():
        raise FileNotFoundError(
            f'mmseg is installed without {script}: install it from its package, not from a copy'
        )
    sys.argv = [argument for argument in sys.argv if argument not in ('--debug', '--overwrite')]
    runpy.run_path(str(script), run_name='__main__')
