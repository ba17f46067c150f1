"""The map experiments of DDP against what is known of the authors' recipe."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/ddp'
EPOCH = 50  # iterations, for the test


def read(name):
    init_default_scope('mmseg')
    return Config.fromfile(CONFIGS / f'{name}.py')


def cyclic(base, middle, end, iteration):
    """Cosine from base up to middle within 8 of 20 epochs, then down to the end."""
    peak, last = 8 * EPOCH, 20 * EPOCH
    if iteration < peak:
        return middle + (base - middle) * (1 + math.cos(math.pi * iteration / peak)) / 2
    share = (iteration - peak) / (last - peak)
    return end + (middle - end) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize('name, channels, generations', [('camera', 256, 5), ('fusion', 512, 4)])
def test_recipe_on_nuscenes(name, channels, generations, meta_allocation):
    config = read(f'ddp_bevfusion-{name}_nuscenes-map')
    with meta_allocation():
        model = MODELS.build(config.model)
    head = model.decode_head
    assert head.generations == generations and head.steps == 3
    assert head.label_encoder.scale == 0.01
    assert head.denoiser.transform.conv.weight.shape == (256, 256 + channels, 1, 1)
    assert len(head.denoiser.encoder.layers) == 5
    grid = head.denoiser.grid_transform
    assert (grid.input_cells, grid.output_cells) == ((128, 128), (200, 200))
    assert (head.loss_decode.gamma, head.loss_decode.alpha) == (2, -1)
    assert config.train_dataloader.batch_size == 4
    assert config.auto_scale_lr.base_batch_size == 32
    assert config.optim_wrapper.clip_grad == dict(max_norm=35)
    assert config.train_cfg.max_epochs == 20
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert name in loader.dataset.data_prefix.img_path
    # 2.6 million parameters of 40 MB that the released files lack, with optimizer and without
    timed = sum(p.numel() for p in head.denoiser.encoder.parameters() if p.shape[-1] == 1024)
    assert timed == 5 * (256 * 1024 + 1024 + 512 * 1024)


def test_learning_rate_and_momentum_curves():
    config = read('ddp_bevfusion-camera_nuscenes-map')
    optimizer = torch.optim.AdamW(
        [torch.nn.Parameter(torch.zeros(1))], config.optim_wrapper.optimizer.lr
    )
    schedulers = [
        PARAM_SCHEDULERS.get(scheduler.type).build_iter_from_epoch(
            optimizer=optimizer,
            epoch_length=EPOCH,
            **{k: v for k, v in scheduler.items() if k not in ('type', 'convert_to_iter_based')},
        )
        for scheduler in config.param_scheduler
    ]
    optimizer.step()
    for iteration in range(20 * EPOCH):
        group = optimizer.param_groups[0]
        # mmengine is late by an iteration after the peak
        assert group['lr'] == pytest.approx(cyclic(5e-5, 5e-4, 5e-9, iteration), rel=0.01, abs=2e-8)
        momentum = cyclic(0.9, 0.9 * 0.85 / 0.95, 0.9, iteration)
        assert group['betas'] == (pytest.approx(momentum, rel=1e-3), 0.999)
        for scheduler in schedulers:
            scheduler.step()


def test_the_yardstick_is_of_the_same_size(meta_allocation):
    configs = [read(f'{name}_r18_shapes-map') for name in ('ddp', 'fcn')]
    with meta_allocation():
        models = [MODELS.build(config.model) for config in configs]
    ours, plain = (sum(p.numel() for p in model.parameters()) for model in models)
    assert 0.99 < plain / ours < 1.01
    for config, model in zip(configs, models, strict=True):
        assert build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
        assert config.default_hooks.checkpoint.save_best == 'map/mean/iou@max'
    assert configs[0].train_dataloader == configs[1].train_dataloader
    assert configs[0].optim_wrapper == configs[1].optim_wrapper
    assert configs[0].model.neck == configs[1].model.neck
