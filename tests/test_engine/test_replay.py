"""A resumed run repeats what the uninterrupted one does: data, augmentation and noise."""

from unittest.mock import patch

import pytest
import torch

from mmdiffseg.engine.hooks import SeedEachIterationHook

HOOK = {'type': 'mmdiffseg.SeedEachIterationHook'}


def losses(runner):
    runner.train()
    return [loss for loss, _ in runner.model.seen]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_resumed_run_has_the_losses_of_the_uninterrupted_one(make_runner, tmp_path, num_workers):
    whole = losses(make_runner(hooks=[HOOK]))
    assert len(whole) == 6
    resumed = make_runner(
        hooks=[HOOK],
        num_workers=num_workers,
        work_dir=tmp_path / 'resumed',
        load_from=str(tmp_path / 'run' / 'iter_4.pth'),
        resume=True,
    )
    assert losses(resumed) == whole[4:]


def test_iterations_and_ranks_draw_different_noise(make_runner):
    runner = make_runner()
    draws = set()
    for rank in range(2):
        for iteration in range(3):
            with (
                patch('mmdiffseg.engine.hooks.seed_each_iteration_hook.get_rank', lambda r=rank: r),
                patch.object(type(runner), 'iter', iteration),
            ):
                SeedEachIterationHook().before_train_iter(runner, iteration)
                draws.add(torch.rand(()).item())
    assert len(draws) == 6
