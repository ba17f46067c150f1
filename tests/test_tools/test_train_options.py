import runpy
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

TRAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools/train.py'))
AMP = 'mmengine.optim.optimizer.amp_optimizer_wrapper'


def mixed(dtype, device='cuda', kind='OptimWrapper'):
    wrapper = {'type': kind, 'optimizer': {'type': 'SGD', 'lr': 0.1}}
    cfg = Config({'optim_wrapper': wrapper})
    with patch('mmengine.device.get_device', lambda: device):
        TRAIN['use_mixed_precision'](cfg, dtype)
    return cfg.optim_wrapper


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('kind', ['OptimWrapper', 'AmpOptimWrapper'])
def test_a_cpu_trains_in_half_precision_too(dtype, kind):
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    wrapper = build_optim_wrapper(model, mixed(dtype, device='cpu', kind=kind))
    for _ in range(20):  # the first ones only find the loss scale of float16
        with wrapper.optim_context(model):
            output = model(torch.ones(3, 2))
        assert output.dtype == getattr(torch, dtype)
        wrapper.update_params(output.float().sum())
    assert wrapper.updates >= 10
    torch.testing.assert_close(
        model.weight, before - 0.1 * 3 * wrapper.updates, atol=1e-3, rtol=1e-3
    )


def test_bfloat16_trains_without_a_loss_scale():
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    with patch(f'{AMP}.is_cuda_available', lambda: True):  # mmengine asks for a GPU
        wrapper = build_optim_wrapper(model, mixed('bfloat16'))
    with wrapper.optim_context(model):
        output = model(torch.ones(3, 2))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    torch.testing.assert_close(model.weight, before - 0.1 * 3)


def test_float16_scales_the_loss():
    assert mixed('float16').loss_scale == 'dynamic'


def test_mixed_precision_needs_a_wrapper_it_can_replace():
    cfg = Config({'optim_wrapper': {'type': 'ApexOptimWrapper'}})
    with pytest.raises(ValueError, match='the config has ApexOptimWrapper'):
        TRAIN['use_mixed_precision'](cfg, 'float16')


def test_resuming_takes_the_latest_checkpoint_whatever_load_from_says(tmp_path):
    cfg = Config({'work_dir': str(tmp_path), 'load_from': 'pretrained.pth'})
    torch.save({}, tmp_path / 'iter_7.pth')
    TRAIN['resume'](cfg, 'auto')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'iter_7.pth')


def test_nothing_to_resume_is_said_and_training_starts(tmp_path, capsys):
    cfg = Config({'work_dir': str(tmp_path), 'load_from': 'pretrained.pth', 'resume': False})
    TRAIN['resume'](cfg, 'auto')
    assert not cfg.resume and cfg.load_from == 'pretrained.pth'
    assert 'Nothing to resume' in capsys.readouterr().out


def test_a_named_checkpoint_is_resumed(tmp_path):
    cfg = Config({'work_dir': str(tmp_path)})
    TRAIN['resume'](cfg, 'iter_3.pth')
    assert cfg.resume and cfg.load_from == 'iter_3.pth'
