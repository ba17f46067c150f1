"""Imported by the tiny config: writes down what the random generator of each rank gives."""

import os
import signal
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class RankProbe(Hook):
    """Writes one number per training iteration to ``noise_RANK.txt`` in the work dir."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        state = torch.get_rng_state()
        with Path(runner.work_dir, f'noise_{get_rank()}.txt').open('a') as file:
            print(runner.iter, torch.rand(()).item(), file=file)
        torch.set_rng_state(state)


@HOOKS.register_module(force=True)
class Killer(Hook):
    """Kills the first process before an iteration, and with it the others."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration and get_rank() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
