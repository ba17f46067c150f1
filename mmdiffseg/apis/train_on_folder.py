"""Train a model on a folder of pictures and a folder of masks."""

import copy
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from mmdiffseg.apis.folder.check import Facts, look_into
from mmdiffseg.apis.folder.config import (
    METHODS,
    base_config,
    method_config,
    set_data,
    set_length,
    set_sizes,
    sizes_of,
)
from mmdiffseg.apis.folder.pairs import Pairs, pair_files, split_names
from mmdiffseg.apis.folder.plan import in_minutes, plan, training_seconds
from mmdiffseg.apis.folder.report import make_report, summary, write_report
from mmdiffseg.apis.load import build_model, find_model
from mmdiffseg.apis.model_folder import load_weights, read_model_folder
from mmdiffseg.datasets.transforms.load_binary_mask import Foreground
from mmdiffseg.engine import launch
from mmdiffseg.engine.work_dir import newest_checkpoint, refuse_to_overwrite
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.utils import register_all_modules


def train(
    images: str | os.PathLike,
    *,
    masks: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike,
    method: str | None = None,
    base: str | os.PathLike | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    classes: Sequence[str] | None = None,
    foreground: Foreground | None = None,
    val: float = 0.2,
    resume: bool = False,
    overwrite: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Train a model on pictures and masks, and compare it with answers that never look.

    The folder ``out`` gets

    - ``model``, which :func:`mmdiffseg.load` reads, and ``report.json``;
    - ``preview.png``, a few validation pictures, which renews itself;
    - ``config.py``, which ``tools/train.py`` can repeat, and ``splits``, the names of the pictures
      to train and to validate on;
    - ``run``, logs and checkpoints.

    Args:
        images: Folder of pictures. If it has folders ``train`` and ``val``, they are the split.
        masks: Folder of masks: PNGs of one channel called like their pictures. Folders ``rater1``,
            ``rater2``, ... in it, or several folders, are the masks of several raters.
        out: A new or empty folder for the results.
        method: ``stochastic``, which draws whole masks and learns fastest; ``segdiff``; or ``ddp``.
            None takes the first.
        base: A model to go on from: its name, folder or hub id.
        minutes: All that may be taken, validation included; None for no bound.
        iterations: Of training, if the minutes allow; None for as many as fit in the minutes, or
            3000.
        classes: Names of the classes, the background first; None takes those of ``base``, or
            numbers.
        foreground: What is foreground in masks of one object class: its value, or ``'nonzero'``;
            None finds out.
        val: Share of the pictures to validate on, in (0, 1), if folders do not say.
        resume: Go on with the training in ``out``.
        overwrite: Take a folder that holds other files.
        seed: Of the training.

    Returns:
        What ``report.json`` holds, see :func:`make_report`.

    Raises:
        FileNotFoundError: Folders are missing or empty, or most pictures have no mask.
        ValueError: The data cannot be trained on, or an argument does not fit them.
        FileExistsError: ``out`` holds other files.

    Example:
        >>> report = mmdiffseg.train('photos', masks='masks', out='first', minutes=10)
        >>> report['scores']['model']['mIoU']
        71.3
        >>> model = mmdiffseg.load('first/model')
    """
    start = time.monotonic()
    end = None if minutes is None else start + 60 * minutes
    _check_arguments(method, base, minutes=minutes, iterations=iterations, val=val)
    pairs = pair_files(images, masks)
    method = method or 'stochastic'
    _check_raters(method, pairs)
    model = base and read_model_folder(find_model(base))
    if model and classes is None:
        classes = model.meta['classes']
    facts = look_into(pairs, classes=classes, foreground=foreground)
    _describe(pairs, facts)

    out = Path(out)
    if resume:
        if not (out / 'config.py').is_file():
            raise FileNotFoundError(f'{out} holds no training to go on with: it has no config.py')
    else:
        claim_output_dir(out, inputs=[pairs.image_dir, *pairs.mask_dirs], overwrite=overwrite)
        _make_way(out / 'run', overwrite=overwrite)
        split_files = _split(out, pairs, share=val)
        gpu = get_device() != 'cpu'
        if model:
            cfg, shrink = _from_base(model, pairs, facts, out)
        else:
            cfg = method_config(method, num_classes=len(facts.classes))
            shrink = set_sizes(cfg, facts, method=method, gpu=gpu)
        set_data(cfg, pairs, facts, split_files=split_files, shrink=shrink, gpu=gpu)
        cfg.randomness = dict(seed=seed)
        _import_all(cfg)
        sizes = _sizes(split_files['val'], pairs, facts)
        length, notes = plan(cfg, sizes=sizes, end=end, iterations=iterations)
        set_length(cfg, length)
        _say(*notes, f'{length} iterations take about {in_minutes(cfg)}.')
        Config(cfg).dump(out / 'config.py')
    cfg = Config.fromfile(out / 'config.py')
    _import_all(cfg)
    scores = _run(cfg, out, end=end, resume=resume)
    report = make_report(cfg, pairs, facts, scores, minutes=(time.monotonic() - start) / 60)
    write_report(out, cfg, report, run=out / 'run')
    finish_output_dir(out)
    _say(summary(report))
    return report


def _check_arguments(
    method: str | None,
    base: str | os.PathLike | None,
    *,
    minutes: float | None,
    iterations: int | None,
    val: float,
) -> None:
    if method is not None and base is not None:
        raise ValueError(f'base={str(base)!r} brings its own method: leave out method={method!r}')
    if method is not None and method not in METHODS:
        raise ValueError(f'method={method!r}: choose one of {", ".join(METHODS)}')
    if minutes is not None and not minutes > 0:
        raise ValueError(f'minutes={minutes} must be above 0')
    if iterations is not None and iterations < 1:
        raise ValueError(f'iterations={iterations} must be 1 or more')
    if not 0 < val < 1:
        raise ValueError(f'val={val} is a share of the pictures and must lie between 0 and 1')


def _check_raters(method: str, pairs: Pairs) -> None:
    if pairs.raters and method != 'stochastic':
        raise ValueError(
            f'method={method!r} learns one answer and there are {len(pairs.mask_dirs)} raters: '
            "take method='stochastic', or give the folder of one rater as masks"
        )


def _describe(pairs: Pairs, facts: Facts) -> None:
    """Say what was found."""
    small, large = ('x'.join(map(str, row)) for row in (facts.sizes.min(0), facts.sizes.max(0)))
    sizes = small if small == large else f'{small} to {large}'
    raters = f' by {len(pairs.mask_dirs)} raters' if pairs.raters else ''
    shares = zip(facts.classes, facts.shares, strict=True)
    _say(
        f'{len(pairs.names)} pictures of {sizes} pixels with masks{raters}.',
        'Classes: ' + ', '.join(f'{name} {100 * share:.2g} %' for name, share in shares) + '.',
        *(f'Note: {warning}' for warning in (*pairs.warnings, *facts.warnings)),
    )


def _say(*lines: str) -> None:
    print(*lines, sep='\n', flush=True)


def _make_way(run: Path, *, overwrite: bool) -> None:
    """See to it that no checkpoints of an earlier training lie where this one's will."""
    if not overwrite:
        refuse_to_overwrite(run)
    for path in (*run.glob('*.pth'), run / 'last_checkpoint'):
        path.unlink(missing_ok=True)


def _split(out: Path, pairs: Pairs, *, share: float) -> dict[str, Path]:
    """Write which pictures are for training and which for validation."""
    train_names, val_names, kept_back = split_names(pairs.names, share=share)
    if not train_names or not val_names:
        raise ValueError(
            f'{len(pairs.names)} pictures leave {len(train_names)} to train and {len(val_names)} '
            'to validate on: add pictures, or change val'
        )
    left = f', {len(kept_back)} are kept back' if kept_back else ''
    _say(f'{len(train_names)} to train on, {len(val_names)} to validate on{left}.')
    folder = out.resolve() / 'splits'
    folder.mkdir(exist_ok=True)
    files = {}
    for split, names in dict(train=train_names, val=val_names).items():
        files[split] = folder / f'{split}.txt'
        files[split].write_text('\n'.join(names) + '\n', encoding='utf-8')
    return files


def _sizes(split_file: Path, pairs: Pairs, facts: Facts) -> np.ndarray:
    """Width and height of the pictures of a split (N, 2)."""
    chosen = set(split_file.read_text(encoding='utf-8').splitlines())
    return facts.sizes[[name in chosen for name in pairs.names]]


def _from_base(model, pairs: Pairs, facts: Facts, out: Path) -> tuple[ConfigDict, list[dict]]:
    """The config of a training that goes on from a model, and how that shrinks pictures."""
    known = model.meta['classes']
    if len(known) != len(facts.classes):
        raise ValueError(
            f'the base knows {len(known)} classes ({", ".join(known)}) and the masks hold '
            f'{len(facts.classes)}: take another base, or none'
        )
    if pairs.raters and not model.config['model']['type'].endswith('StochasticSegmentor'):
        raise ValueError(
            f'the base, a {model.config["model"]["type"]}, learns one answer and there are '
            f'{len(pairs.mask_dirs)} raters: give the folder of one of them as masks'
        )
    cfg = base_config(model.config)
    cfg.crop_size, shrink = sizes_of(model.config)
    network = build_model(cfg)
    load_weights(network, model.weights)
    cfg.load_from = str(out.resolve() / 'base.pth')
    torch.save(dict(state_dict=network.state_dict()), cfg.load_from)
    return cfg, shrink


def _import_all(cfg: Mapping[str, Any]) -> None:
    launch.import_models(cfg)
    register_all_modules(init_default_scope=False)
    init_default_scope(cfg['default_scope'])


def _run(cfg: Config, out: Path, *, end: float | None, resume: bool) -> dict[str, float]:
    """Train and validate; the scores."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.launcher = str(out / 'run'), 'none'
    cfg.log_level = 'ERROR'  # the progress is told in plain lines
    if resume:
        checkpoint = newest_checkpoint(cfg.work_dir)
        if checkpoint is not None:
            cfg.load_from, cfg.resume = str(checkpoint), True
    cfg.custom_hooks = [
        *cfg.custom_hooks,
        dict(type='mmdiffseg.ProgressHook'),
        dict(type='mmdiffseg.PreviewHook', out_file=str(out / 'preview.png')),
        dict(type='mmdiffseg.CheckpointMatchHook', strict=True),
    ]
    if end is not None:
        minutes = training_seconds(cfg, end) / 60
        cfg.custom_hooks.append(dict(type='mmdiffseg.TimeBudgetHook', minutes=minutes))
    launch.seed_augmentation(cfg)
    runner = launch.build_runner(cfg)
    runner.train()
    logged = runner.message_hub.log_scalars
    return {
        name.removeprefix('val/'): float(values.current())
        for name, values in logged.items()
        if name.startswith('val/') and not name.endswith('time')
    }
