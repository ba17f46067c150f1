"""The SegDiff configs against the spec of the released experiments."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/segdiff'
NAMES = sorted(path.stem for path in CONFIGS.glob('segdiff_*.py'))
RELEASED = {  # parameters of the image encoder and in all, images per step
    'segdiff_cityscapes-car': (10_940_864, 162_766_017, 2 * 15),
    'segdiff_vaihingen': (4_466_048, 159_838_209, 2 * 4),
    'segdiff_monuseg': (8_782_592, 164_154_753, 4 * 2),
}


def load(name):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    init_default_scope('mmseg')
    return config


@pytest.fixture(scope='module')
def build(meta_allocation):
    built = {}  # many experiments share a model

    def build(config):
        key = str(config.model)
        if key not in built:
            with meta_allocation():
                built[key] = MODELS.build(config.model).eval()
        return built[key]

    return build


@pytest.mark.parametrize('name', NAMES)
def test_every_model_fits_together(name, build, meta_allocation):
    config = load(name)
    model = build(config)
    head = model.decode_head
    with meta_allocation():
        feature = model.extract_feat(torch.empty(1, 3, *config.crop_size))
        head.denoiser.prepare(head._transform_inputs(feature))
    channels = 2 if name.endswith('learned-variance') else 1
    assert head.denoiser.out[2].out_channels == channels
    # padding at test time goes by the network's stride, and windows are a multiple of it
    assert config.model.data_preprocessor.test_cfg.size_divisor == head.denoiser.stride
    assert all(side % head.denoiser.stride == 0 for side in config.crop_size)


@pytest.mark.parametrize('name', RELEASED)
def test_the_released_experiments(name, build):
    config = load(name)
    encoder, total, batch = RELEASED[name]
    model = build(config)
    assert sum(p.numel() for p in model.backbone.parameters()) == encoder
    assert sum(p.numel() for p in model.parameters()) == total
    assert config.auto_scale_lr.base_batch_size == batch
    assert batch % config.train_dataloader.batch_size == 0
    assert model.decode_head.timesteps == model.decode_head.noise_schedule.num_timesteps == 100
    assert model.decode_head.randsteps == 9
    dropouts = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert dropouts == {0.1 if name == 'segdiff_vaihingen' else 0.0}

    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    (group,) = optimizer.param_groups
    assert (group['lr'], group['weight_decay'], group['betas']) == (1e-4, 0.0, (0.9, 0.999))
    assert config.param_scheduler == [] and 'clip_grad' not in config.optim_wrapper
    assert config.train_cfg.max_iters == 299999
    assert {'type': 'mmdiffseg.UpdateEMAHook', 'momentum': 1e-4} in config.custom_hooks
    assert config.default_hooks.checkpoint.save_best == 'mIoU'


@pytest.mark.parametrize('name', [name for name in NAMES if name.endswith('_stable')])
def test_stable_variants_follow_the_advice_of_users(name):
    config = load(name)
    assert config.optim_wrapper.optimizer.lr == 2e-5
    assert config.auto_scale_lr.base_batch_size == 8
    assert config.model.decode_head.loss_reduction == 'mean'


@pytest.mark.parametrize('name', [name for name in NAMES if 'paper-protocol' in name])
def test_the_papers_protocol_chooses_on_the_test_split(name):
    config, default = load(name), load(name.removesuffix('_paper-protocol'))
    assert config.val_dataloader.dataset == config.test_dataloader.dataset
    assert default.val_dataloader.dataset != default.test_dataloader.dataset
    assert default.test_dataloader.dataset == config.test_dataloader.dataset


def test_the_sweeps_change_what_they_are_named_after():
    assert [load(f'segdiff_vaihingen_rrdb-{n}').model.backbone.num_blocks for n in (1, 3, 10)] == [
        1,
        3,
        10,
    ]
    for steps in (25, 50, 200):
        model = load(f'segdiff_vaihingen_rrdb-3_t-{steps}').model
        assert model.decode_head.noise_schedule.num_timesteps == steps
        assert model.backbone.num_blocks == 3
    for level in (1, 3, 5):
        model = load(f'segdiff_vaihingen_add-level-{level}').model
        assert model.decode_head.denoiser.fusion_level == level
