import numpy as np
import pytest
from mmengine.registry import DATASETS, MODELS, init_default_scope

from mmdiffseg.apis.folder.check import look_into
from mmdiffseg.apis.folder.config import (
    METHODS,
    base_config,
    method_config,
    set_data,
    set_length,
    set_sizes,
)
from mmdiffseg.apis.folder.pairs import pair_files


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def configure(tmp_path, folders, method='stochastic', gpu=False):
    pairs = pair_files(*folders)
    facts = look_into(pairs)
    files = {split: tmp_path / f'{split}.txt' for split in ('train', 'val')}
    for file in files.values():
        file.write_text('\n'.join(pairs.names) + '\n')
    cfg = method_config(method, num_classes=len(facts.classes))
    shrink = set_sizes(cfg, facts, method=method, gpu=gpu)
    set_data(cfg, pairs, facts, split_files=files, shrink=shrink, gpu=gpu)
    return cfg


@pytest.mark.parametrize('method', METHODS)
def test_every_method_can_be_built(draw, tmp_path, method):
    cfg = configure(tmp_path, draw.pairs(tmp_path, 3, size=(100, 90)), method)
    assert cfg.crop_size == (64, 64) == cfg.model.data_preprocessor.size
    model = MODELS.build(cfg.model)
    assert model.decode_head.num_classes == 2
    assert DATASETS.build(cfg.train_dataloader.dataset)[0]['inputs'].shape == (3, 64, 64)
    assert DATASETS.build(cfg.val_dataloader.dataset)[0]['inputs'].shape == (3, 90, 100)


def test_a_gpu_takes_larger_crops(draw, tmp_path):
    folders = draw.pairs(tmp_path, 2, size=(900, 800))
    small, large = (configure(tmp_path, folders, gpu=gpu) for gpu in (False, True))
    assert large.crop_size[0] == 2 * small.crop_size[0]


def test_tiny_pictures(draw, tmp_path):
    cfg = configure(tmp_path, draw.pairs(tmp_path, 2, size=(40, 30)))
    assert cfg.crop_size == (32, 32)


def test_raters_in_folders_of_their_own(draw, tmp_path):
    images, _ = draw.pairs(tmp_path / 'a', 2)
    folders = [tmp_path / f'people/{name}/masks' for name in ('ann', 'bob')]
    for folder in folders:
        for i in range(2):
            draw.mask(folder / f'p{i}.png', draw.square(i).astype(np.uint8))
    cfg = configure(tmp_path, (images, folders))
    sample = DATASETS.build(cfg.val_dataloader.dataset)[0]['data_samples']
    assert sample.raters == ['ann', 'bob'] and sample.gt_raters.data.shape == (2, 48, 48)


def test_length_stretches_the_schedule():
    cfg = method_config('stochastic', num_classes=2)
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [(0, 100), (2000, 3000)]
    set_length(cfg, 300)
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [(0, 10), (200, 300)]
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == 300
    assert cfg.custom_hooks[1].momentum == pytest.approx(20 / 300)
    set_length(cfg, 1)  # every schedule still has an iteration of its own
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [(0, 1), (1, 2)]


def test_a_base_needs_no_pretrained_weights():
    weights = dict(pretrained='net.in1k', init_cfg=dict(type='Pretrained', checkpoint='net.pth'))
    cfg = base_config(dict(model=dict(type='M', backbone=dict(type='B', inner=[weights], depth=2))))
    inner = dict(pretrained=None, init_cfg=None)
    assert cfg.model == dict(type='M', backbone=dict(type='B', inner=[inner], depth=2))
    scratch = method_config('stochastic', num_classes=2)
    assert cfg.optim_wrapper.optimizer.lr < scratch.optim_wrapper.optimizer.lr
