import time
from types import SimpleNamespace

import pytest
import torch

from mmdiffseg.engine.hooks import ProgressHook, TimeBudgetHook
from mmdiffseg.engine.hooks.progress_hook import in_words


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = SimpleNamespace(time=1000.0)
    monkeypatch.setattr(time, 'monotonic', lambda: now.time)
    return now


class Runner:
    def __init__(self, iterations=100, done=0):
        self.iter = done
        self.train_loop = SimpleNamespace(_max_iters=iterations)

    @property
    def max_iters(self):
        return self.train_loop._max_iters


def test_the_iteration_in_which_time_runs_out_is_the_last(clock):
    hook, runner = TimeBudgetHook(minutes=2), Runner(done=40)
    hook.before_train(runner)
    clock.time += 119
    hook.after_train_iter(runner, 0)
    assert runner.max_iters == 100
    clock.time += 1
    hook.after_train_iter(runner, 0)
    assert runner.max_iters == 41


def test_the_planned_end_stays_if_it_comes_first(clock):
    hook, runner = TimeBudgetHook(minutes=1), Runner(done=99)
    hook.before_train(runner)
    clock.time += 600
    hook.after_train_iter(runner, 0)
    assert runner.max_iters == 100


def test_lines_tell_how_much_is_left(clock, capsys):
    hook, runner = ProgressHook(seconds=20), Runner(iterations=70, done=10)
    hook.before_train(runner)
    for loss in (1.0, 2.0, 6.0):
        clock.time += 10
        hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(loss)))
        runner.iter += 1
    assert capsys.readouterr().out == 'iteration 12 of 70, loss 1.5000, 10 minutes left\n'
    runner.iter = 69
    clock.time += 1
    hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(2.0)))
    assert capsys.readouterr().out == 'iteration 70 of 70, loss 4.0000, 0 seconds left\n'


@pytest.mark.parametrize(
    'seconds, words', [(0, '0 seconds'), (89, '89 seconds'), (90, '2 minutes'), (601, '10 minutes')]
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
