"""The dataset bases with several raters, run on a few generated files of each layout."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData

import mmdiffseg.datasets
from mmdiffseg.registry import DATASETS, METRICS

BASES = Path(mmdiffseg.datasets.__file__).parents[2] / 'configs/_base_/datasets'
SPLITS = ('train', 'val', 'test')
# name: (images, their suffix, folders of labels, their suffix, classes of the files, size)
LAYOUTS = dict(
    ambiguous_shapes=('images/{}', '.jpg', ('mode01/{}', 'mode02/{}'), '.png', 7, (64, 64)),
    chase_db1=('images/{}', '.jpg', ('rater1/{}', 'rater2/{}'), '.png', 2, (150, 160)),
    lidc=('images/{}', '.png', [f'rater{i}/{{}}' for i in (1, 2, 3, 4)], '.png', 2, (128, 128)),
    camvid_flips=('images/{}', '.jpg', ('labels/{}',), '.png', 11, (360, 480)),
    cityscapes_flips=(
        'leftImg8bit/{}/ulm',
        '_leftImg8bit.png',
        ('gtFine/{}/ulm',),
        '_gtFine_labelTrainIds.png',
        19,
        (256, 512),
    ),
)


@pytest.fixture(params=LAYOUTS)
def base(request, tmp_path):
    """A dataset base whose `data_root` holds two noise images a split."""
    images, suffix, labels, label_suffix, num_classes, size = LAYOUTS[request.param]
    rng = np.random.default_rng(0)
    for split in SPLITS:
        for folder in (images, *labels):
            (tmp_path / folder.format(split)).mkdir(parents=True)
        for stem in 'ab':
            image = rng.integers(0, 256, (*size, 3), np.uint8)
            cv2.imwrite(str(tmp_path / images.format(split) / (stem + suffix)), image)
            for folder in labels:
                ids = rng.integers(0, num_classes, size, np.uint8)
                cv2.imwrite(str(tmp_path / folder.format(split) / (stem + label_suffix)), ids)
        weights = dict.fromkeys('ab', dict(mode01=0.25, mode02=0.75))
        (tmp_path / f'weights_{split}.json').write_text(json.dumps(weights))
    cfg = Config.fromfile(BASES / f'{request.param}.py')
    for city in {*cfg.get('train_cities', ()), *cfg.get('val_cities', ())} - {'ulm'}:
        for folder in (images, *labels):
            ulm = tmp_path / folder.format('train')
            shutil.copytree(ulm, ulm.parent / city)
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = str(tmp_path)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    init_default_scope('mmseg')
    return cfg, len(labels)


def test_trains_on_one_label_map(base):
    cfg, _ = base
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        assert image.shape[1:] == sample.gt_sem_seg.data.shape[1:] == tuple(cfg.crop_size)


@pytest.mark.parametrize('base', ['cityscapes_flips'], indirect=True)
def test_three_cities_of_the_training_images_validate(base):
    cfg, _ = base
    counts = {}
    for split in SPLITS:
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        counts[split] = len(dataset)
    assert counts == dict(train=15 * 2, val=3 * 2, test=2)
    assert not set(cfg.train_cities) & set(cfg.val_cities)
    wrong = dict(cfg.val_dataloader.dataset, cities=['ulm', 'berlin'])
    with pytest.raises(FileNotFoundError, match='no images of berlin in .*which has aachen'):
        DATASETS.build(wrong)


def test_raters_score_each_other(base):
    cfg, raters = base
    for split in ('val', 'test'):
        loader = Runner.build_dataloader(cfg[f'{split}_dataloader'])
        metric = METRICS.build(cfg[f'{split}_evaluator'])
        metric.dataset_meta = loader.dataset.metainfo
        samples = next(iter(loader))['data_samples']
        for sample in samples:
            maps = sample.gt_raters.data
            assert maps.shape[1:] == sample.ori_shape  # that of predictions
            modes = len(sample.get('rater_weights', maps))
            assert len(maps) == modes == len(sample.raters)
            assert raters == 1 or modes == raters
            if 'rater_weights' in sample:
                # as many samples of each mode as it has weight, of the flips' 10ths or 17ths
                shares = np.array(sample.rater_weights)
                drawn = np.searchsorted(shares.cumsum(), (np.arange(1000) + 0.5) / 1000)
                maps = maps[torch.from_numpy(drawn.clip(max=modes - 1))[::10]]
            sample.samples = PixelData(data=maps)
        metric.process({}, [sample.to_dict() for sample in samples])
        scores = metric.evaluate(2)
        (ged,) = (score for name, score in scores.items() if name.startswith('GED@'))
        assert ged == pytest.approx(0, abs=0.02)


def test_the_guide_to_own_raters_is_a_working_config(tmp_path):
    guide = (BASES.parents[2] / 'docs/datasets.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', guide, re.S)
    (example,) = [block for block in blocks if 'chase_db1' in block]
    path = tmp_path / 'own.py'
    path.write_text(example.replace("'./chase_db1.py'", f"'{BASES}/chase_db1.py'"))
    cfg = Config.fromfile(path)
    init_default_scope('mmseg')
    for split in ('train', 'val'):
        for folder in ('images', 'anna', 'ben'):
            shape = (140, 150, 3) if folder == 'images' else (140, 150)
            (tmp_path / folder / split).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / folder / split / 'a.png'), np.full(shape, 255, np.uint8))
    for split in ('train', 'val'):
        options = cfg[f'{split}_dataloader'].dataset
        options.update(data_root=str(tmp_path), raters=[f'anna/{split}', f'ben/{split}'])
        dataset = DATASETS.build(options)
        assert dataset.metainfo['classes'] == ('background', 'lesion')
        sample = dataset[0]['data_samples']
        labels = sample.gt_sem_seg if split == 'train' else sample.gt_raters
        assert (labels.data == 1).all()
