"""How many iterations fit into the time, by measuring a few."""

import itertools
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from numpy.typing import NDArray

from mmdiffseg.engine.hooks.progress_hook import in_words

#: iterations of a training without a bound
ITERATIONS = 3000
#: fewer teach a network from scratch little
FEW_ITERATIONS = 50
#: the most that validation may take of the time
VALIDATION_SHARE = 0.25
#: what is planned of the time for training: previews and other users of the machine take some, too
PLANNED_SHARE = 0.8
MEASURED, WARMUP = 6, 2


def plan(
    cfg: ConfigDict, *, sizes: NDArray, end: float | None, iterations: int | None
) -> tuple[int, list[str]]:
    """Choose the number of iterations, and of validation pictures if there is no time for all.

    Args:
        cfg: The config, changed in place: ``seconds`` tells what was measured.
        sizes: Width and height of the validation pictures (N, 2).
        end: By when everything has to be over, as ``time.monotonic()`` counts; None for no bound.
        iterations: The most to train for.

    Returns:
        The number, and sentences about what does not fit.
    """
    cfg.seconds = measure(cfg, sizes=sizes)
    if end is None:
        return iterations or ITERATIONS, []
    notes = []
    left = end - time.monotonic()
    scored = min(max(int(VALIDATION_SHARE * left / cfg.seconds['picture']), 1), len(sizes))
    if scored < len(sizes):
        chosen = np.linspace(0, len(sizes) - 1, scored).round().astype(int).tolist()
        cfg.val_dataloader.dataset.indices = chosen
        notes.append(f'there is time to validate on {scored} of {len(sizes)} pictures.')
    training = PLANNED_SHARE * training_seconds(cfg, end)
    fit = max(int(training / cfg.seconds['iteration']), 1)
    if fit < min(FEW_ITERATIONS, iterations or FEW_ITERATIONS):
        notes.append(f'{fit} iterations fit into the time, which are few.')
    return min(fit, iterations or fit), notes


def training_seconds(cfg: ConfigDict, end: float) -> float:
    """Seconds from now on that the validation leaves."""
    dataset = cfg.val_dataloader.dataset
    names = Path(dataset.ann_file).read_text(encoding='utf-8').splitlines()
    scored = len(dataset.get('indices') or names)
    return end - time.monotonic() - scored * cfg.seconds['picture']


def in_minutes(cfg: ConfigDict) -> str:
    """How long the planned training takes, in words."""
    return in_words(cfg.train_cfg.max_iters * cfg.seconds['iteration'])


def measure(cfg: ConfigDict, *, sizes: NDArray) -> dict[str, float]:
    """Train a model for a few iterations, let it predict a picture, and throw it away.

    Args:
        cfg: The config.
        sizes: Width and height of the validation pictures (N, 2), of which one of about the mean
            area is predicted.

    Returns:
        Seconds of an ``iteration`` and of the prediction of a ``picture``.
    """
    model = MODELS.build(cfg.model).to(get_device())
    # worker processes would take as long to start as the iterations
    alone = dict(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader({**cfg.train_dataloader, **alone}, seed=0)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    seconds = []
    for batch in itertools.islice(loader, MEASURED):
        start = time.perf_counter()
        model.train_step(batch, optim_wrapper=optim_wrapper)
        _wait()
        seconds.append(time.perf_counter() - start)
    dataset = Runner.build_dataloader({**cfg.val_dataloader, **alone}).dataset
    areas = sizes.prod(axis=1)
    batch = pseudo_collate([dataset[int(np.abs(areas - areas.mean()).argmin())]])
    model.eval()
    start = time.perf_counter()
    with torch.no_grad():
        model.val_step(batch)
    _wait()
    return dict(
        iteration=round(statistics.median(seconds[WARMUP:]), 4),
        picture=round(time.perf_counter() - start, 4),
    )


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
