import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmdiffseg.registry import OPTIM_WRAPPERS

# the loss is small, so that float16 does not overflow under the initial scale of 2^20
SMALL = 2.0**-10


def build(model, **options):
    return OPTIM_WRAPPERS.build(
        dict(
            type='mmdiffseg.GuardedOptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1 / SMALL),
        )
        | options
    )


def step(wrapper, model, factor=1.0):
    with wrapper.optim_context(model):
        loss = model(torch.ones(1, 4)).float().sum() * SMALL * factor
    wrapper.update_params(loss)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_a_bad_gradient_changes_nothing(dtype):
    model = nn.Linear(4, 1)
    wrapper = build(model, dtype=dtype)
    before = model.weight.detach().clone()
    step(wrapper, model, float('nan'))
    assert torch.equal(model.weight, before)
    assert (wrapper.updates, wrapper.skips) == (0, 1)
    step(wrapper, model)
    torch.testing.assert_close(model.weight, before - 0.1)
    assert (wrapper.updates, wrapper.skips) == (1, 1)
    assert MessageHub.get_current_instance().get_scalar('train/skipped_updates').current() == 1


def test_too_many_in_a_row_end_the_run():
    model = nn.Linear(4, 1)
    wrapper = build(model, max_skips=2)
    for factor in (float('inf'), float('nan'), 1.0, float('nan'), float('nan')):
        step(wrapper, model, factor)
    with pytest.raises(FloatingPointError, match='last 3 updates were not finite.*bfloat16'):
        step(wrapper, model, float('nan'))


def test_float16_scales_the_loss_as_released():
    model = nn.Linear(4, 1)
    wrapper = build(model, dtype='float16')
    assert wrapper.loss_scaler.get_scale() == 2**20
    step(wrapper, model, float('inf'))
    assert wrapper.loss_scaler.get_scale() == 2**19
    step(wrapper, model)
    assert wrapper.loss_scaler.get_scale() == pytest.approx(2**19.001)


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_a_resumed_run_knows_its_counters_and_its_scale(dtype):
    model = nn.Linear(4, 1)
    wrapper, resumed = build(model, dtype=dtype), build(model, dtype=dtype)
    step(wrapper, model, float('nan'))
    step(wrapper, model)
    resumed.load_state_dict(wrapper.state_dict())
    assert (resumed.updates, resumed.skips) == (1, 1)
    assert resumed.loss_scaler.get_scale() == wrapper.loss_scaler.get_scale()
    # a checkpoint of an ordinary wrapper has no counters
    resumed.load_state_dict({**wrapper.optimizer.state_dict()})


def test_clipping_sees_unscaled_gradients():
    model = nn.Linear(4, 1)
    wrapper = build(model, dtype='float16', clip_grad=dict(max_norm=0.5 * SMALL))
    before = model.weight.detach().clone()
    step(wrapper, model)
    moved = (model.weight - before).norm() / 0.1
    assert moved.item() == pytest.approx(0.5 * 2 / 5**0.5, rel=1e-3)  # 4 weights and a bias


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="got 'int8'"):
        build(nn.Linear(1, 1), dtype='int8')
