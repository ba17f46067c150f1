"""Configs of the refiners, against the released network."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/refine'
RELEASED = json.loads(
    gzip.decompress((ROOT / 'tests/data/segrefiner_released.json.gz').read_bytes())
)
REAL = ('segrefiner_lr_lvis', 'segrefiner_hr_dis5k')


def load(name):
    init_default_scope('mmseg')
    return Config.fromfile(CONFIGS / f'{name}.py')


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('name', REAL)
def test_real_width_has_the_released_parameters(name, meta_allocation):
    with meta_allocation():
        model = MODELS.build(load(name).model)
    shapes = {
        key.removeprefix('decode_head.denoiser.'): list(value.shape)
        for key, value in model.state_dict().items()
    }
    assert shapes == RELEASED and len(shapes) == 453
    assert count(model) == 118_604_673


@pytest.mark.parametrize(
    'name, iterations, milestones, batch, mode',
    [
        ('segrefiner_lr_lvis', 120_000, [80_000, 100_000], 1, 'object'),
        ('segrefiner_hr_dis5k', 40_000, [20_000, 35_000], 2, 'global_local'),
    ],
)
def test_released_recipes(name, iterations, milestones, batch, mode):
    config = load(name)
    assert config.train_cfg.max_iters == iterations
    assert config.optim_wrapper.optimizer.lr == 4e-4
    assert config.optim_wrapper.optimizer.weight_decay == 0
    assert 'clip_grad' not in config.optim_wrapper
    (schedule,) = config.param_scheduler
    assert schedule.milestones == milestones and schedule.gamma == 0.5
    assert config.train_dataloader.batch_size == batch
    assert config.model.test_cfg.mode == mode
    head = config.model.decode_head
    assert (head.noise_schedule.num_timesteps, head.texture_weight) == (6, 5.0)


def test_the_tiny_one_is_small_and_its_twin_differs_in_the_chain_alone():
    config, twin = load('refine_tiny_mixed'), load('unet_tiny_mixed')
    model = MODELS.build(config.model)
    assert count(model) < 4_000_000 and model.test_cfg.size == 128
    assert count(MODELS.build(twin.model)) == count(model)
    head = twin.model.decode_head
    assert head.pop('steps') == 1 and head.noise_schedule.pop('kept') == 1e-6
    config.model.decode_head.noise_schedule.pop('kept')
    assert twin.model == config.model
    assert {**twin, 'model': None, 'filename': None} == {**config, 'model': None, 'filename': None}


def test_the_twin_of_the_shipped_one_differs_in_the_chain_alone():
    config, twin = load('refine_features_mixed'), load('unet_features_mixed')
    model = MODELS.build(config.model)
    # 8 MB at two bytes each
    assert count(model) < 4_000_000 and count(MODELS.build(twin.model)) == count(model)
    head, other = config.model.decode_head, twin.model.decode_head
    assert (other.steps, other.pop('own_share'), head.pop('own_share')) == (1, 0.0, 1.0)
    assert (other.noise_schedule.pop('kept'), head.noise_schedule.pop('kept')) == (1e-6, 0.5)
    assert twin.model == config.model
    assert {**twin, 'model': None, 'filename': None} == {**config, 'model': None, 'filename': None}


def test_the_twin_sees_the_coarse_mask_at_every_time():
    schedule = MODELS.build(load('unet_tiny_mixed').model).decode_head.noise_schedule
    fine, coarse = torch.ones(600, 1, 8, 8), torch.zeros(600, 1, 8, 8)
    uniform = torch.rand(fine.shape, generator=torch.Generator().manual_seed(0))
    assert schedule.corrupt(fine, coarse, torch.arange(600) % 6, uniform).sum() <= 2


def test_what_the_shipped_refiner_learns_from_may_be_shipped():
    parts = load('refine_tiny_mixed').train_dataloader.dataset.dataset.datasets
    roots = {Path(part.data_root).name for part in parts}
    assert roots == {'dsb2018', 'gsi_road', 'gsi_solar', 'flood_area', 'shapes'}
    assert all('val' not in p.data_prefix.img_path or 'solar' in p.data_root for p in parts)
