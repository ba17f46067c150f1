"""The configs of SegDiff's three data sets, against the authors' models and recipes."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmdiffseg.datasets import CityscapesInstanceDataset

CONFIGS = Path(__file__).parents[2] / 'configs/segdiff'
CLASSES = CityscapesInstanceDataset.CLASSES
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# parameters of image encoder and denoiser, side of the training crops, GPUs, total batch
PAPER = {
    'cityscapes-train': (10_940_864, 151_825_153, 128, 2, 30),
    'vaihingen': (4_466_048, 155_372_161, 256, 2, 8),
    'monuseg': (8_782_592, 155_372_161, 256, 4, 8),
}


def load(name):
    return Config.fromfile(CONFIGS / f'segdiff_{name}.py')


def train_transform(config, kind):
    return [t for t in config.train_dataloader.dataset.pipeline if t.type.endswith(kind)]


@pytest.mark.parametrize('name', PAPER)
def test_paper(name, meta_allocation):
    backbone, denoiser, size, gpus, batch = PAPER[name]
    config = load(name)
    init_default_scope('mmseg')
    with meta_allocation():
        model = MODELS.build(config.model)
    count = sum(p.numel() for p in model.backbone.parameters())
    assert count == backbone
    assert sum(p.numel() for p in model.parameters()) - count == denoiser
    assert config.model.data_preprocessor.size == (size, size)
    assert config.model.data_preprocessor.test_cfg.size_divisor == model.decode_head.denoiser.stride
    assert gpus * config.train_dataloader.batch_size == batch
    assert config.auto_scale_lr.base_batch_size == batch
    assert config.optim_wrapper.optimizer.lr == 1e-4
    assert config.model.decode_head.loss_reduction == 'sum'


def test_vaihingen():
    config = load('vaihingen')
    assert config.model.decode_head.denoiser.dropout == 0.1
    assert config.model.data_preprocessor.mean == pytest.approx([120.7215, 73.4178, 72.6930], 1e-6)
    assert config.model.data_preprocessor.std == pytest.approx([57.7462, 38.9543, 35.8790], 1e-6)
    kinds = [t.type.split('.')[-1] for t in config.train_dataloader.dataset.pipeline[2:-1]]
    assert kinds == ['RandomRotateScale', 'ColorJitter', 'RandomFlip', 'RandomFlip']
    directions = [t.direction for t in train_transform(config, 'RandomFlip')]
    assert directions == ['vertical', 'horizontal']


def test_monuseg():
    config = load('monuseg')
    assert config.model.test_cfg == dict(
        mode='slide', threshold=0.5, crop_size=(256, 256), stride=(256, 256)
    )
    assert config.model.data_preprocessor.mean == [142.07, 98.48, 132.96]
    kinds = [t.type.split('.')[-1] for t in config.train_dataloader.dataset.pipeline[2:-1]]
    assert kinds == ['RandomCrop', 'RandomFlip', 'RandomFlip', 'RandomRotateScale', 'ColorJitter']
    directions = [t.direction for t in train_transform(config, 'RandomFlip')]
    assert directions == ['horizontal', 'vertical']


@pytest.mark.parametrize('class_name', CLASSES)
def test_cityscapes(class_name):
    for variant, expansions in (('', [(10, 20), 15, 15]), ('_tight', [0, 0, 0])):
        config = load(f'cityscapes-{class_name}{variant}')
        datasets = [config[loader].dataset for loader in LOADERS]
        assert [dataset.class_name for dataset in datasets] == [class_name] * 3
        assert [dataset.expansion for dataset in datasets] == expansions
        lists = [dataset.ann_file.split('/')[1] for dataset in datasets]
        assert lists == ['train', 'train_val', 'val']


@pytest.mark.parametrize('name', PAPER)
def test_variants(name):
    plain, released = load(name), load(f'{name}_paper-protocol')
    assert plain.val_dataloader.dataset != plain.test_dataloader.dataset
    assert released.val_dataloader == released.test_dataloader == plain.test_dataloader
    if name != 'cityscapes-train':  # there all training objects are used anyway
        assert plain.train_dataloader.dataset.ann_file == 'minitrain.txt'
        assert not released.train_dataloader.dataset.ann_file

    config = load(f'{name}_stable')
    assert config.optim_wrapper.optimizer.lr == 2e-5
    assert config.model.decode_head.loss_reduction == 'mean'
    gpus = PAPER[name][3]
    assert gpus * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 8


def test_class_conditional_model_takes_every_category():
    config = load('cityscapes_class-conditional')
    assert [config[loader].dataset.class_name for loader in LOADERS] == [None] * 3
    assert config.model.decode_head.denoiser.num_image_classes == len(CLASSES)
