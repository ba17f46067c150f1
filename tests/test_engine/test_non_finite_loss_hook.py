import re

import pytest
import torch
from mmengine.registry import MODELS

HOOK = {'type': 'mmdiffseg.NonFiniteLossHook'}


def build_toy(**kwargs):
    return MODELS.build({'type': 'ToyModel', **kwargs})


def test_non_finite_loss_stops_and_keeps_the_last_checkpoint(make_runner, tmp_path):
    runner = make_runner(model=build_toy(bad_iter=4), hooks=[HOOK])
    with pytest.raises(FloatingPointError, match='iteration 4 .*loss_fit nan.*iter_2.pth'):
        runner.train()
    saved = torch.load(tmp_path / 'run' / 'iter_2.pth', weights_only=False)['state_dict']
    assert all(value.isfinite().all() for value in saved.values())
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['iter_2.pth']


def test_non_finite_weights_after_a_finite_loss_stop_too(make_runner, tmp_path):
    runner = make_runner(hooks=[HOOK])
    calls = []

    def spoil(grad):
        calls.append(1)
        return grad * float('inf') if len(calls) == 4 else grad

    runner.model.decode_head.weight.register_hook(spoil)
    with pytest.raises(FloatingPointError, match='weights .* iteration 4'):
        runner.train()
    assert not (tmp_path / 'run' / 'iter_4.pth').exists()


def test_a_good_run_is_left_alone(make_runner, tmp_path):
    make_runner(hooks=[HOOK]).train()
    assert re.fullmatch(r'.*iter_6\.pth', (tmp_path / 'run' / 'last_checkpoint').read_text())
