import pytest
from torch import nn

from mmdiffseg.engine.hooks import OneStepHook, SelfAlignedHook


def modes(runner):
    runner.train()
    return [mode for _, mode in runner.model.seen]


@pytest.mark.parametrize('hook', [SelfAlignedHook, OneStepHook])
def test_the_last_iterations_are_in_the_mode(make_runner, hook):
    hooks = [{'type': f'mmdiffseg.{hook.__name__}', 'last_iters': 2}]
    assert modes(make_runner(hooks=hooks)) == [False] * 4 + [True] * 2


def test_a_resumed_run_is_in_the_right_phase(make_runner, tmp_path):
    make_runner().train()
    hooks = [{'type': 'mmdiffseg.SelfAlignedHook', 'last_iters': 3}]
    resumed = make_runner(
        hooks=hooks,
        work_dir=tmp_path / 'resumed',
        load_from=str(tmp_path / 'run' / 'iter_4.pth'),
        resume=True,
    )
    assert modes(resumed) == [True, True]


def test_a_head_without_the_mode_is_refused(make_runner):
    runner = make_runner(hooks=[{'type': 'mmdiffseg.SelfAlignedHook', 'last_iters': 2}])
    runner.model.decode_head = nn.Linear(4, 1)
    with pytest.raises(ValueError, match='self_aligned mode.*got Linear'):
        runner.train()


def test_last_iters_below_one_is_refused():
    with pytest.raises(ValueError, match='at least 1, got 0'):
        SelfAlignedHook(last_iters=0)
