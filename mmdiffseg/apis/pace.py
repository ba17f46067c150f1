"""How long an iteration and a prediction take here, measured before a training is planned."""

import itertools
import statistics
import time
from typing import NamedTuple

import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner

ITERATIONS = 6
WARMUP = 2


class Pace(NamedTuple):
    """What was measured.

    Attributes:
        iteration: Seconds of a training iteration.
        picture: Seconds to predict a validation picture.
    """

    iteration: float
    picture: float


def measure(cfg: ConfigDict) -> Pace:
    """Train a model for a few iterations, let it predict a picture, and throw it away."""
    model = MODELS.build(cfg.model).to(get_device())
    # as the runner does; worker processes would take as long to start as the iterations
    alone = dict(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader({**cfg.train_dataloader, **alone}, seed=0)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    seconds = []
    for batch in itertools.islice(loader, ITERATIONS):
        start = time.perf_counter()
        model.train_step(batch, optim_wrapper=optim_wrapper)
        _wait()
        seconds.append(time.perf_counter() - start)
    dataset = Runner.build_dataloader({**cfg.val_dataloader, **alone}).dataset
    model.eval()
    start = time.perf_counter()
    with torch.no_grad():
        model.val_step(pseudo_collate([dataset[len(dataset) // 2]]))
    _wait()
    return Pace(statistics.median(seconds[WARMUP:]), time.perf_counter() - start)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
