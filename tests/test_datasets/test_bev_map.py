import re

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmdiffseg.datasets import BEVMapDataset, NuScenesMapDataset, ShapesMapDataset
from mmdiffseg.registry import DATASETS

PREFIX = dict(img_path='features/train', seg_map_path='maps/train')
PIPELINE = [
    dict(type='mmdiffseg.LoadBEVFeature'),
    dict(type='mmdiffseg.LoadMapMasks', num_classes=2),
    dict(type='mmdiffseg.PackMapInputs'),
]
FEATURES = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float16)
MASKS = np.random.default_rng(1).integers(0, 2, (2, 2, 8, 9), np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two samples of 4 x 6 x 5 features and maps of two layers with 8 x 9 cells."""
    init_default_scope('mmseg')
    for folder in PREFIX.values():
        (tmp_path / folder).mkdir(parents=True)
    for name, feature, masks in zip('ab', FEATURES, MASKS, strict=True):
        np.save(tmp_path / f'features/train/{name}.npy', feature)
        np.savez_compressed(tmp_path / f'maps/train/{name}.npz', masks=masks)
    return tmp_path


def build(root, type='BEVMapDataset', pipeline=PIPELINE, **options):
    config = dict(type=f'mmdiffseg.{type}', data_root=str(root), data_prefix=PREFIX)
    metainfo = dict(metainfo=dict(classes=('road', 'walkway'))) if type == 'BEVMapDataset' else {}
    return DATASETS.build(config | metainfo | dict(pipeline=pipeline) | options)


def test_features_and_maps_arrive_as_they_are(root):
    dataset = build(root)
    assert isinstance(dataset, BEVMapDataset) and len(dataset) == 2
    for index, packed in enumerate(dataset):
        assert packed['inputs'].dtype == torch.float32
        assert torch.equal(packed['inputs'], torch.from_numpy(FEATURES[index]).float())
        sample = packed['data_samples']
        assert torch.equal(sample.gt_map.data, torch.from_numpy(MASKS[index]))
        assert sample.img_path.endswith(f'{"ab"[index]}.npy')


def test_a_list_may_repeat_samples(root):
    (root / 'cbgs.txt').write_text('b\na\nb\n')
    dataset = build(root, ann_file='cbgs.txt')
    names = [dataset.get_data_info(i)['img_path'][-5:] for i in range(len(dataset))]
    assert names == ['b.npy', 'a.npy', 'b.npy']


def test_features_alone_are_enough_to_predict(root):
    dataset = build(root, data_prefix=dict(img_path='features/train'), test_mode=True)
    assert 'gt_map' not in dataset[0]['data_samples']


def test_maps_flip_with_their_pictures(shapes_root):
    init_default_scope('mmseg')
    prefix = dict(img_path='images/train', seg_map_path='maps/train')
    load, flip = dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=1.0)
    masks = dict(type='mmdiffseg.LoadMapMasks', num_classes=6)
    pack = dict(type='mmdiffseg.PackMapInputs')
    plain, flipped = (
        build(shapes_root, 'ShapesMapDataset', [load, masks, *more, pack], data_prefix=prefix)
        for more in ([], [flip])
    )
    assert plain.metainfo['classes'] == ('circle', 'ellipse', 'triangle', 'square', 'star', 'ring')
    assert len(plain) == 6 and len(plain.metainfo['palette']) == 6
    for one, other in zip(plain, flipped, strict=True):
        assert torch.equal(other['inputs'], one['inputs'].flip(-1))
        one, other = (packed['data_samples'].gt_map.data for packed in (one, other))
        assert one.shape == (6, 32, 32) and one.any()
        assert torch.equal(other, one.flip(-1))


def test_nuscenes_has_six_layers(root):
    assert build(root, 'NuScenesMapDataset').metainfo['classes'] == (
        'drivable_area',
        'ped_crossing',
        'walkway',
        'stop_line',
        'carpark_area',
        'divider',
    )


@pytest.mark.parametrize('dataset', [NuScenesMapDataset, ShapesMapDataset])
def test_missing_folders_are_reported(tmp_path, dataset):
    with pytest.raises(FileNotFoundError) as error:
        dataset(data_root=str(tmp_path), data_prefix=PREFIX, pipeline=[])
    assert f'no folder {tmp_path}/features/train: {dataset.how_to_get}' in str(error.value)


def test_missing_maps_are_reported(root):
    (root / 'maps/train/b.npz').unlink()
    sentence = '1 of 2 labels of .* are missing, the first is .*maps/train/b.npz: add it'
    with pytest.raises(FileNotFoundError, match=sentence):
        build(root)


@pytest.mark.parametrize(
    'masks, sentence',
    [
        (MASKS[0] * 255, 'a.npz holds 255: masks must be binary, 0 or 1.'),
        (MASKS[0] * 0.5, 'a.npz holds 0.5: masks must be binary, 0 or 1.'),
        (
            MASKS[0, :1],
            'a.npz holds masks of the shape (1, 8, 9): num_classes=2 needs (2, rows, columns), one '
            'layer a class.',
        ),
        (MASKS[0, 0], 'a.npz holds masks of the shape (8, 9): num_classes=2 needs'),
    ],
)
def test_wrong_masks_are_refused(root, masks, sentence):
    np.savez_compressed(root / 'maps/train/a.npz', masks=masks)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build(root)[0]


@pytest.mark.parametrize(
    'feature, sentence',
    [
        (FEATURES[0, 0], r'a.npy holds \(6, 5\) float16: a BEV feature must be one array'),
        (MASKS[0], r'a.npy holds \(2, 8, 9\) uint8: a BEV feature must be one array'),
        (np.where(FEATURES[0] > 1, np.nan, 0), r'a.npy holds nan or inf in \d+ places: write it'),
        (np.where(FEATURES[0] > 1, np.inf, 0), r'a.npy holds nan or inf in \d+ places: write it'),
    ],
)
def test_wrong_features_are_refused(root, feature, sentence):
    np.save(root / 'features/train/a.npy', feature)
    with pytest.raises(ValueError, match=sentence):
        build(root)[0]


def test_damaged_files_are_named(root):
    (root / 'features/train/a.npy').write_bytes(b'nothing of numpy')
    np.savez(root / 'maps/train/b.npz', other=MASKS[0])
    with pytest.raises(ValueError, match='a.npy is damaged or not a numpy file'):
        build(root)[0]
    with pytest.raises(ValueError, match="b.npz holds no array 'masks': write a map by"):
        build(root)[1]


@pytest.mark.parametrize(
    'damage', [lambda b: b[: len(b) // 2], lambda b: b[:80] + bytes(60) + b[140:]]
)
def test_maps_that_were_copied_badly_are_named(root, damage):
    path = root / 'maps/train/a.npz'
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match='a.npz is damaged or not a numpy file'):
        build(root)[0]
