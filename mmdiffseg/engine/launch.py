"""What the tools share: changes to a config before a runner is built, and mmseg's own tools."""

import inspect
import runpy
from collections.abc import Iterator
from pathlib import Path

import mmseg
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import MODELS


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


def set_data_root(cfg: Config, root: str) -> None:
    """Point the datasets and their metrics at ``root``, a folder laid out as the config expects.

    Metrics of COCO read annotations themselves, by paths that start with the root of the data.
    """
    old_roots = set()
    for dataset in datasets_of(cfg, 'train', 'val', 'test'):
        old_roots.add(dataset.get('data_root'))
        dataset.data_root = root
    for split in ('val', 'test'):
        metrics = cfg.get(f'{split}_evaluator') or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            for name in ('ann_file', 'seg_prefix'):
                path = metric.get(name) or ''
                old = next((old for old in old_roots if path.startswith(f'{old}/')), None)
                if old is not None:
                    metric[name] = root + path.removeprefix(old)


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


def set_head_option(cfg: Config, name: str, value: int) -> None:
    """Set an argument that only a diffusion head has, e.g. ``steps``.

    Raises:
        ValueError: If the decode head does not take it.
    """
    head = cfg.model.get('decode_head') or cfg.model.panoptic_head
    if not takes(head, name):
        raise ValueError(
            f'{head.type} takes no {name}; a diffusion head such as mmdiffseg.DDPHead does'
        )
    head[name] = value


def set_output_dir(cfg: Config, folder: str) -> None:
    """Let the metric write the predictions to a folder.

    Raises:
        ValueError: If it is one of mmdet's, which write other files.
    """
    if cfg.get('default_scope') == 'mmdet':
        raise ValueError(
            f'--out {folder} is for the label maps of mmseg models; for instances in the format of '
            'COCO, give CocoMetric a prefix of the files: --cfg-options '
            'test_evaluator.1.outfile_prefix=PREFIX, or without the .1 if it is the only metric'
        )
    cfg.test_evaluator.output_dir = folder


def takes(component: ConfigDict, argument: str) -> bool:
    """Whether the class a model component is built from has a constructor argument, or a base."""
    with MODELS.switch_scope_and_registry('mmseg') as registry:
        classes = inspect.getmro(registry.get(component.type))
    return any(argument in inspect.signature(cls).parameters for cls in classes[:-1])


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


def run_mmseg_tool(name: str) -> None:
    """Run a script of mmseg's ``tools`` folder with the arguments of this process.

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
    runpy.run_path(str(script), run_name='__main__')
