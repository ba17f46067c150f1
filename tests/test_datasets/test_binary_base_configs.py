"""The dataset bases with binary masks, run on a few generated files of each layout."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmdiffseg.datasets
from mmdiffseg.registry import DATASETS, METRICS

BASES = Path(mmdiffseg.datasets.__file__).parents[2] / 'configs/_base_/datasets'
# name: (suffix of the images, values of the masks, sizes of the files)
LAYOUTS = dict(
    shapes_binary=('.jpg', (0, 1, 6), [(96, 96), (96, 96)]),
    dsb2018_128=('.png', (0, 1, 255), [(130, 200), (256, 140)]),
    gsi_road_128=('.jpg', (0, 1, 255), [(300, 280), (300, 280)]),
)


@pytest.fixture(params=LAYOUTS)
def base(request, tmp_path):
    """A dataset base whose `data_root` holds two noise images a split."""
    suffix, values, sizes = LAYOUTS[request.param]
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for kind in ('images', 'labels'):
            (tmp_path / kind / split).mkdir(parents=True)
        for stem, size in zip('ab', sizes, strict=True):
            image = rng.integers(0, 256, (*size, 3), np.uint8)
            cv2.imwrite(str(tmp_path / f'images/{split}/{stem}{suffix}'), image)
            mask = rng.choice(np.array(values, np.uint8), size)
            cv2.imwrite(str(tmp_path / f'labels/{split}/{stem}.png'), mask)
    cfg = Config.fromfile(BASES / f'{request.param}.py')
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = str(tmp_path)
        loader.update(num_workers=0, persistent_workers=False)
    init_default_scope('mmseg')
    return cfg, {1 if 1 < value < 255 else value for value in values}, sizes


def test_trains_on_crops(base):
    cfg, values, _ = base
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    batch = next(iter(loader))
    assert len(batch['inputs']) == cfg.train_dataloader.batch_size
    seen = set()
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        assert image.shape == (3, *cfg.crop_size)
        assert sample.gt_sem_seg.data.shape == (1, *cfg.crop_size)
        seen |= set(sample.gt_sem_seg.data.unique().tolist())
    assert seen == values


def test_scores_masks_at_the_size_of_the_files(base):
    cfg, values, sizes = base
    loader = Runner.build_dataloader(cfg.test_dataloader)
    metric = METRICS.build(cfg.test_evaluator)
    metric.dataset_meta = loader.dataset.metainfo
    samples = [sample for batch in loader for sample in batch['data_samples']]
    assert [tuple(sample.gt_sem_seg.shape) for sample in samples] == sizes
    for sample in samples:
        assert set(sample.gt_sem_seg.data.unique().tolist()) == values
        sample.pred_sem_seg = sample.gt_sem_seg
    metric.process({}, [sample.to_dict() for sample in samples])
    assert metric.evaluate(2) == dict(mIoU=100, F1=100, WCov=100, BoundF=100)


def test_the_guide_to_own_masks_is_a_working_config(tmp_path):
    guide = (BASES.parents[2] / 'docs/datasets.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', guide, re.S)
    (example,) = [block for block in blocks if 'segdiff_small_dsb2018' in block]
    path = tmp_path / 'own.py'
    path.write_text(example.replace("'./segdiff_small_dsb2018.py'", f"'{BASES}/dsb2018_128.py'"))
    cfg = Config.fromfile(path)
    init_default_scope('mmseg')
    for split in ('train', 'val'):
        for kind, suffix, shape in (
            ('images', 'jpg', (140, 150, 3)),
            ('labels', 'png', (140, 150)),
        ):
            (tmp_path / kind / split).mkdir(parents=True)
            picture = np.full(shape, 255, np.uint8)
            assert cv2.imwrite(str(tmp_path / kind / split / f'a.{suffix}'), picture)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(tmp_path)
        dataset = DATASETS.build(loader.dataset)
        assert dataset.metainfo['classes'] == ('background', 'crack')
        assert (dataset[0]['data_samples'].gt_sem_seg.data == 1).float().mean() > 0.4
