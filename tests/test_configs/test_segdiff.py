"""SegDiff's configs against the authors' models and recipes."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmdiffseg.datasets import CityscapesInstanceDataset

CONFIGS = Path(__file__).parents[2] / 'configs/segdiff'
NAMES = sorted(path.stem.removeprefix('segdiff_') for path in CONFIGS.glob('segdiff_*.py'))
CLASSES = CityscapesInstanceDataset.CLASSES
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# parameters of image encoder and denoiser, side of the training crops, GPUs, images per step
PAPER = {
    'cityscapes-train': (10_940_864, 151_825_153, 128, 2, 30),
    'vaihingen': (4_466_048, 155_372_161, 256, 2, 8),
    'monuseg': (8_782_592, 155_372_161, 256, 4, 8),
}


def load(name):
    return Config.fromfile(CONFIGS / f'segdiff_{name}.py')


def transforms(config):
    """What changes the training images, by the name of its class."""
    return [(t.type.split('.')[-1], t) for t in config.train_dataloader.dataset.pipeline[2:-1]]


@pytest.fixture(scope='module')
def build(meta_allocation):
    init_default_scope('mmseg')
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
        head.prepare(head._transform_inputs(feature), [dict(image_class=0)])
    channels = {'vaihingen_learned-variance': 2, 'small_shapes-classes': 7}
    assert head.denoiser.out[2].out_channels == channels.get(name, 1)
    assert config.model.data_preprocessor.size == config.crop_size
    # padding at test time goes by the network's stride, and windows are a multiple of it
    assert config.model.data_preprocessor.test_cfg.size_divisor == head.denoiser.stride
    assert all(side % head.denoiser.stride == 0 for side in config.crop_size)


@pytest.mark.parametrize('name', PAPER)
def test_the_released_recipes(name, build):
    config = load(name)
    backbone, denoiser, side, gpus, batch = PAPER[name]
    model = build(config)
    assert sum(p.numel() for p in model.backbone.parameters()) == backbone
    assert sum(p.numel() for p in model.decode_head.parameters()) == denoiser
    dropouts = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert dropouts == {0.1 if name == 'vaihingen' else 0.0}
    head = model.decode_head
    assert head.steps == head.noise_schedule.num_timesteps == 100
    assert (head.generations, head.clip_denoised, head.loss_reduction) == (9, False, 'sum')
    assert head.diffusion_sampler.variance == 'fixed_large'

    assert config.crop_size == (side, side)
    assert gpus * config.train_dataloader.batch_size == batch
    assert config.auto_scale_lr.base_batch_size == batch
    assert config.optim_wrapper == dict(
        type='mmdiffseg.GuardedOptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0),
        dtype='float32',
    )
    assert config.param_scheduler == []
    assert config.train_cfg.max_iters == 299999
    assert {'type': 'mmdiffseg.UpdateEMAHook', 'momentum': 1e-4} in config.custom_hooks
    assert config.default_hooks.checkpoint.save_best == 'mIoU'


def test_vaihingen():
    config = load('vaihingen')
    assert config.model.data_preprocessor.mean == pytest.approx([120.7215, 73.4178, 72.6930], 1e-6)
    assert config.model.data_preprocessor.std == pytest.approx([57.7462, 38.9543, 35.8790], 1e-6)
    kinds = ['RandomRotateScale', 'ColorJitter', 'RandomFlip', 'RandomFlip']
    assert [kind for kind, _ in transforms(config)] == kinds
    turn, jitter, *flips = (transform for _, transform in transforms(config))
    assert (turn.degrees, turn.scale) == ((0, 360), (0.75, 1.5))
    strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    assert strengths == (0.6, 0.5, 0.4, 0.025)
    assert [(flip.direction, flip.prob) for flip in flips] == [
        ('vertical', 0.5),
        ('horizontal', 0.5),
    ]


def test_monuseg():
    config = load('monuseg')
    assert config.model.test_cfg == dict(
        mode='slide', threshold=0.5, crop_size=(256, 256), stride=(256, 256)
    )
    assert config.model.data_preprocessor.mean == [142.07, 98.48, 132.96]
    assert config.model.data_preprocessor.std == [65.78, 57.05, 57.78]
    kinds = ['RandomCrop', 'RandomFlip', 'RandomFlip', 'RandomRotateScale', 'ColorJitter']
    assert [kind for kind, _ in transforms(config)] == kinds
    _, *flips, turn, jitter = (transform for _, transform in transforms(config))
    assert [(flip.direction, flip.prob) for flip in flips] == [
        ('horizontal', 0.5),
        ('vertical', 0.5),
    ]
    assert (turn.degrees, turn.scale) == ((-22, 22), (0.75, 1.25))
    strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    assert strengths == (0.4, 0.4, 0.4, 0.1)


@pytest.mark.parametrize('class_name', CLASSES)
def test_cityscapes(class_name):
    for variant, expansions in (('', [(10, 20), 15, 15]), ('_tight', [0, 0, 0])):
        config = load(f'cityscapes-{class_name}{variant}')
        datasets = [config[loader].dataset for loader in LOADERS]
        assert [dataset.class_name for dataset in datasets] == [class_name] * 3
        assert [dataset.expansion for dataset in datasets] == expansions
        lists = [dataset.ann_file.split('/')[1] for dataset in datasets]
        assert lists == ['train', 'train_val', 'val']
    assert config.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert config.model.data_preprocessor.std == [58.395, 57.12, 57.375]
    kinds = ['ResizeWithoutAntialias', 'RandomFlip', 'RandomRotateScale']
    assert [kind for kind, _ in transforms(config)[1:]] == kinds
    turn = transforms(config)[-1][1]
    assert (turn.degrees, turn.scale) == ((-22, 22), (0.75, 1.25))


@pytest.mark.parametrize('name', PAPER)
def test_the_papers_protocol_chooses_on_the_test_split(name):
    plain, released = load(name), load(f'{name}_paper-protocol')
    assert plain.val_dataloader.dataset != plain.test_dataloader.dataset
    assert released.val_dataloader == released.test_dataloader == plain.test_dataloader
    if name != 'cityscapes-train':  # there all training objects are used anyway
        assert plain.train_dataloader.dataset.ann_file == 'minitrain.txt'
        assert not released.train_dataloader.dataset.ann_file


@pytest.mark.parametrize('name', PAPER)
def test_stable_variants_follow_the_advice_of_users(name):
    config = load(f'{name}_stable')
    assert config.optim_wrapper.optimizer.lr == 2e-5
    assert config.model.decode_head.loss_reduction == 'mean'
    gpus = PAPER[name][3]
    assert gpus * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 8


def test_the_sweeps_change_what_they_are_named_after():
    for blocks in (1, 3, 10):
        assert load(f'vaihingen_rrdb-{blocks}').model.backbone.num_blocks == blocks
    for steps in (25, 50, 200):
        model = load(f'vaihingen_rrdb-3_t-{steps}').model
        assert model.decode_head.noise_schedule.num_timesteps == steps
        assert model.backbone.num_blocks == 3
    for level in (1, 3, 5):
        model = load(f'vaihingen_add-level-{level}').model
        assert model.decode_head.denoiser.fusion_level == level


def test_the_class_conditional_model_takes_every_category():
    config = load('cityscapes_class-conditional')
    assert [config[loader].dataset.class_name for loader in LOADERS] == [None] * 3
    assert config.model.decode_head.denoiser.num_image_classes == len(CLASSES)


@pytest.mark.parametrize('data', ['dsb2018', 'gsi_road'])
def test_the_u_net_to_compare_with_sees_the_same(data, build, meta_allocation):
    config, ours = Config.fromfile(CONFIGS / f'unet_{data}.py'), load(f'small_{data}')
    for part in (*LOADERS, 'optim_wrapper', 'param_scheduler', 'train_cfg', 'crop_size'):
        assert config[part] == ours[part]
    model = build(config)
    with meta_allocation():
        assert model(torch.empty(1, 3, *config.crop_size)).shape == (1, 2, *config.crop_size)
