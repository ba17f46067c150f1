"""Train a model on a folder of pictures and a folder of masks."""

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdiffseg.output_dir import claim_output_dir, finish_output_dir

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmdiffseg.apis.folder_check import Facts
    from mmdiffseg.apis.folder_pairs import Pairs
    from mmdiffseg.apis.pace import Pace

#: folder of logs and checkpoints
RUN = 'run'
#: iterations of a training whose length nobody gave
ITERATIONS = 3000
#: the most that validation may take of the time, and that previews may
VALIDATION_SHARE = 0.25
PREVIEW_SHARE = 0.1
#: what is planned of the time: others may use the machine, too
PLANNED = 0.9
#: fewer teach a network from scratch next to nothing
FEW_ITERATIONS = 100


def train(
    images: str | Path,
    *,
    masks: str | Path | Sequence[str | Path],
    out: str | Path,
    method: str | None = None,
    base: str | Path | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    classes: Sequence[str] | None = None,
    foreground: int | str | None = None,
    val: float = 0.2,
    resume: bool = False,
    overwrite: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Train a model on pictures and masks, and compare it with answers that never look.

    ``out`` gets ``config.py``, which ``tools/train.py`` can repeat; ``splits/``, the names of the
    pictures to train and to validate on; ``preview.png``, which renews itself; ``run/``, logs
    and checkpoints; and ``report.json``.

    Args:
        images: Folder of pictures. If it has folders ``train`` and ``val``, they are the split.
        masks: Folder of masks: PNGs of one channel called like their pictures. Folders ``rater1``,
            ``rater2``, ... in it, or several folders, are the masks of several raters.
        out: A new or empty folder for the results.
        method: ``segdiff``, ``stochastic`` or ``ddp``; None takes ``stochastic`` for several raters
            and ``segdiff`` otherwise.
        base: A model to start from: its folder or name.
        minutes: All that may be taken, validation included; None for no bound.
        iterations: Of training, if the minutes allow; None for as many as fit in the minutes, or
            3000.
        classes: Names of the classes, the background first; None names them by number.
        foreground: What is foreground in masks of one object class: its value, or ``'nonzero'``;
            None finds out.
        val: Share of the pictures to validate on, in (0, 1), if folders do not say.
        resume: Go on with the training in ``out``.
        overwrite: Take a folder that holds other files.
        seed: Of the training.

    Returns:
        What ``report.json`` holds: facts about the data, ``scores`` of the model and of both
        answers that never look, and whether the model is ``better`` than them.

    Raises:
        FileNotFoundError: Folders are missing or empty, or most pictures have no mask.
        ValueError: The data cannot be trained on, or an argument does not fit them.
        FileExistsError: ``out`` holds other files.

    Example:
        >>> report = train('photos', masks='masks', out='runs/first', minutes=10)
        >>> report['scores']['model']['mIoU']
        71.3
    """
    from mmdiffseg.apis.folder_check import look_into
    from mmdiffseg.apis.folder_pairs import pair_files

    end = None if minutes is None else time.monotonic() + 60 * minutes
    _check_arguments(method, minutes=minutes, iterations=iterations, val=val)
    pairs = pair_files(images, masks)
    method = _choose_method(method, pairs)
    facts = look_into(pairs, classes=classes, foreground=foreground)
    _say(pairs, facts)
    out = Path(out)
    if resume:
        cfg = _read_config(out)
    else:
        cfg = _new_config(
            out,
            pairs,
            facts,
            method=method,
            base=base,
            val=val,
            end=end,
            iterations=iterations,
            overwrite=overwrite,
            seed=seed,
        )
    scores = _run(cfg, out, end=end, resume=resume)
    return _report(cfg, out, pairs, facts, scores)


def _check_arguments(
    method: str | None, *, minutes: float | None, iterations: int | None, val: float
) -> None:
    from mmdiffseg.apis.folder_config import METHODS

    if method is not None and method not in METHODS:
        raise ValueError(f'method={method!r}: choose one of {", ".join(METHODS)}')
    if minutes is not None and not minutes > 0:
        raise ValueError(f'minutes={minutes} must be above 0')
    if iterations is not None and iterations < 1:
        raise ValueError(f'iterations={iterations} must be 1 or more')
    if not 0 < val < 1:
        raise ValueError(f'val={val} is a share of the pictures and must lie between 0 and 1')


def _choose_method(method: str | None, pairs: 'Pairs') -> str:
    if not pairs.raters:
        return method or 'segdiff'
    if method not in (None, 'stochastic'):
        raise ValueError(
            f'method={method!r} learns one answer and there are {len(pairs.mask_dirs)} raters: '
            "take method='stochastic', or give the folder of one rater as masks"
        )
    return 'stochastic'


def _say(pairs: 'Pairs', facts: 'Facts') -> None:
    widths, heights = facts.sizes.T
    sizes = f'{widths.min()}x{heights.min()}'
    if len(np.unique(facts.sizes, axis=0)) > 1:
        sizes += f' to {widths.max()}x{heights.max()}'
    raters = f' by {len(pairs.mask_dirs)} raters' if pairs.raters else ''
    print(f'{len(pairs.names)} pictures of {sizes} pixels with masks{raters}.')
    shares = zip(facts.classes, facts.shares, strict=True)
    print('Classes: ' + ', '.join(f'{name} {100 * share:.2g} %' for name, share in shares) + '.')
    for warning in (*pairs.warnings, *facts.warnings):
        print(f'Note: {warning}', flush=True)


def _read_config(out: Path) -> 'Config':
    from mmengine.config import Config

    if not (out / 'config.py').is_file():
        raise FileNotFoundError(f'there is no training to go on with in {out}: it has no config.py')
    return Config.fromfile(out / 'config.py')


def _new_config(
    out: Path,
    pairs: 'Pairs',
    facts: 'Facts',
    *,
    method: str,
    base: str | Path | None,
    val: float,
    end: float | None,
    iterations: int | None,
    overwrite: bool,
    seed: int,
) -> 'Config':
    """Write the split and the config of a training that fits into the time."""
    from mmengine.config import Config
    from mmengine.device import get_device

    from mmdiffseg.apis.folder_config import method_config, set_data, set_length
    from mmdiffseg.apis.folder_pairs import split_names
    from mmdiffseg.engine.work_dir import refuse_to_overwrite

    train_names, val_names, kept_back = split_names(pairs.names, share=val)
    if not train_names or not val_names:
        raise ValueError(
            f'{len(pairs.names)} pictures leave {len(train_names)} to train and {len(val_names)} '
            'to validate on: add pictures, or change val'
        )
    claim_output_dir(out, inputs=[pairs.image_dir, *pairs.mask_dirs], overwrite=overwrite)
    if not overwrite:
        refuse_to_overwrite(out / RUN)
    split_files = _write_splits(out, train=train_names, val=val_names)
    left = f', {len(kept_back)} are kept back' if kept_back else ''
    print(f'{len(train_names)} to train on, {len(val_names)} to validate on{left}.', flush=True)

    gpu = get_device() != 'cpu'
    cfg = method_config(method, num_classes=len(facts.classes), gpu=gpu)
    set_data(cfg, pairs, facts, split_files=split_files, gpu=gpu)
    cfg.randomness = dict(seed=seed)
    _import_all(cfg)
    cfg.pace, iterations = _plan(cfg, len(val_names), end, iterations)
    set_length(cfg, iterations)
    Config(cfg).dump(out / 'config.py')
    return Config.fromfile(out / 'config.py')


def _write_splits(out: Path, **names: Sequence[str]) -> dict[str, Path]:
    folder = out.resolve() / 'splits'
    folder.mkdir(exist_ok=True)
    files = {split: folder / f'{split}.txt' for split in names}
    for split, file in files.items():
        file.write_text('\n'.join(names[split]) + '\n', encoding='utf-8')
    return files


def _import_all(cfg: 'Config') -> None:
    from mmengine.registry import init_default_scope

    from mmdiffseg.engine import launch
    from mmdiffseg.utils import register_all_modules

    launch.import_models(cfg)
    register_all_modules(init_default_scope=False)
    init_default_scope(cfg.default_scope)


def _plan(
    cfg: 'Config', val_pictures: int, end: float | None, iterations: int | None
) -> tuple[dict[str, float], int]:
    """Measure the pace, and find out how many iterations and validation pictures fit."""
    from mmdiffseg.apis.pace import measure
    from mmdiffseg.engine.hooks.progress_hook import minutes

    pace = measure(cfg)
    if end is None:
        iterations = iterations or ITERATIONS
    else:
        left = end - time.monotonic()
        scored = min(max(int(VALIDATION_SHARE * left / pace.picture), 1), val_pictures)
        if scored < val_pictures:
            chosen = np.linspace(0, val_pictures - 1, scored).round().astype(int).tolist()
            cfg.val_dataloader.dataset.indices = chosen
            print(f'Note: there is time to validate on {scored} of {val_pictures} pictures.')
        fit = int(PLANNED * _training_seconds(end, pace, scored) / pace.iteration)
        iterations = max(min(fit, iterations or fit), 1)
        if iterations < FEW_ITERATIONS:
            print(f'Note: {iterations} iterations fit in the time, which teach next to nothing.')
    print(f'{iterations} iterations take about {minutes(iterations * pace.iteration)}.', flush=True)
    return pace._asdict(), iterations


def _training_seconds(end: float, pace: 'Pace', scored: int) -> float:
    """What validation and previews leave of the time."""
    left = end - time.monotonic()
    return (left - scored * pace.picture) * (1 - PREVIEW_SHARE)


def _run(cfg: 'Config', out: Path, *, end: float | None, resume: bool) -> dict[str, float]:
    """Train and validate; the scores."""
    from mmdiffseg.engine import launch
    from mmdiffseg.engine.work_dir import newest_checkpoint

    _import_all(cfg)
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.launcher = str(out / RUN), 'none'
    cfg.log_level = 'ERROR'  # the progress is told in plain lines
    cfg.custom_hooks = [
        *cfg.custom_hooks,
        dict(type='mmdiffseg.ProgressHook'),
        dict(type='mmdiffseg.PreviewHook', out_file=str(out / 'preview.png')),
        dict(type='mmdiffseg.CheckpointMatchHook', strict=resume),
    ]
    if end is not None:
        dataset = cfg.val_dataloader.dataset
        names = Path(dataset.ann_file).read_text(encoding='utf-8').splitlines()
        scored = len(dataset.get('indices') or names)
        seconds = (end - time.monotonic()) - scored * cfg.pace['picture']
        cfg.custom_hooks.append(dict(type='mmdiffseg.TimeBudgetHook', minutes=seconds / 60))
    if resume:
        checkpoint = newest_checkpoint(out / RUN)
        cfg.load_from, cfg.resume = checkpoint and str(checkpoint), checkpoint is not None
    launch.seed_augmentation(cfg)
    runner = launch.build_runner(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {
        name.removeprefix('val/'): float(scalars[name].current())
        for name in scalars
        if name.startswith('val/') and not name.endswith('time')
    }


def _report(
    cfg: 'Config', out: Path, pairs: 'Pairs', facts: 'Facts', scores: dict[str, float]
) -> dict[str, Any]:
    from mmdiffseg.apis.training_report import deciding_score, score_constants
    from mmdiffseg.engine.work_dir import newest_checkpoint

    table = {'model': scores, **score_constants(cfg)}
    name, higher = deciding_score(cfg, scores)
    values = {answer: _find(row, name) for answer, row in table.items()}
    others = [value for answer, value in values.items() if answer != 'model']
    better = values['model'] > max(others) if higher else values['model'] < min(others)
    report = dict(
        pictures=len(pairs.names),
        raters=len(pairs.mask_dirs) if pairs.raters else 1,
        classes={
            name: round(float(share), 6)
            for name, share in zip(facts.classes, facts.shares, strict=True)
        },
        warnings=[*pairs.warnings, *facts.warnings],
        checkpoint=newest_checkpoint(out / RUN).name,
        scores=table,
        decides=name,
        better=better,
    )
    (out / 'report.json').write_text(json.dumps(report, indent=1), encoding='utf-8')
    finish_output_dir(out)
    listed = ', '.join(f'{answer} {value:.4g}' for answer, value in values.items())
    print(f'{name} on the validation pictures: {listed}.')
    return report


def _find(scores: dict[str, float], name: str) -> float:
    """A score, whatever the number of samples behind its name."""
    key = name.partition('@')[0]
    return next(value for other, value in scores.items() if other.partition('@')[0] == key)
