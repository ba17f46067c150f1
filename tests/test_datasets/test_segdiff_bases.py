"""The bases of SegDiff's three data sets, on three images each as the converters leave them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmdiffseg.datasets

BASES = Path(mmdiffseg.datasets.__file__).parents[2] / 'configs/_base_/datasets'
SPLITS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def noise():
    return np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)


def loaders(name, root):
    cfg = Config.fromfile(BASES / f'{name}.py')
    init_default_scope('mmseg')
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        loader.dataset.data_root = str(root)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    return {split: Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0) for split in SPLITS}


def names(loader):
    dataset = loader.dataset
    return [Path(dataset.get_data_info(index)['img_path']).stem for index in range(len(dataset))]


@pytest.mark.parametrize(('name', 'size'), [('vaihingen_buildings', 256), ('monuseg', 512)])
def test_folders(name, size, tmp_path, noise):
    image, mask = noise[:size, :size], (noise[:size, :size, 0] > 127).astype(np.uint8)
    for split, stem in (('train', 'a.1'), ('train', 'b'), ('test', 'c')):
        for folder, pixels in (('images', image), ('labels', mask)):
            path = tmp_path / folder / split / f'{stem}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
    (tmp_path / 'minitrain.txt').write_text('a.1\n')
    (tmp_path / 'minival.txt').write_text('b\n')
    splits = loaders(name, tmp_path)
    assert {split: names(loader) for split, loader in splits.items()} == dict(
        train=['a.1'], val=['b'], test=['c']
    )
    for split, loader in splits.items():
        batch = next(iter(loader))
        shape = (256, 256) if split == 'train' else (size, size)
        labels = batch['data_samples'][0].gt_sem_seg.data
        assert batch['inputs'][0].shape == (3, *shape)
        assert labels.shape == (1, *shape)
        assert labels.unique().tolist() == [0, 1]
        if split != 'train':
            np.testing.assert_array_equal(labels[0], mask)
            np.testing.assert_array_equal(batch['inputs'][0].permute(1, 2, 0), image)


@pytest.fixture
def cityscapes(tmp_path, noise):
    """Two cars in one image of every split; three quarters of a box are car."""
    classes = mmdiffseg.datasets.CityscapesInstanceDataset.CLASSES
    for split in ('train', 'train_val', 'val'):
        file_name = f'{split}/ulm/ulm_000000_leftImg8bit.png'
        (tmp_path / 'leftImg8bit' / file_name).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'leftImg8bit' / file_name), noise)
        cars = [
            dict(
                img=dict(height=512, width=512, file_name=file_name),
                bbox=[x, 200, 100, 40],
                segmentation=[[x, 200, x + 75, 200, x + 75, 240, x, 240]],
            )
            for x in (100, 300)
        ]
        path = tmp_path / 'instances' / split / 'all_classes_instances.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(dict(data={**{name: [] for name in classes}, 'car': cars})))
    return tmp_path


def test_cityscapes(cityscapes):
    splits = loaders('cityscapes_instances', cityscapes)
    folders = dict(train='train', val='train_val', test='val')
    for split, loader in splits.items():
        assert Path(loader.dataset.get_data_info(0)['img_path']).parts[-3] == folders[split]
        batch = next(iter(loader))
        samples = batch['data_samples']
        assert batch['inputs'][0].shape == (3, 128, 128)
        assert sorted(s.sample_id for s in samples) == ['ulm_000000_car_0', 'ulm_000000_car_1']
        assert [s.image_class for s in samples] == [2, 2]
        if split == 'train':
            assert samples[0].gt_sem_seg.shape == (128, 128)
        else:
            # 15 % wider and higher, native size
            assert samples[0].gt_sem_seg.shape == samples[0].ori_shape == (46, 116)
            assert samples[0].gt_sem_seg.data.sum() == 75 * 40
