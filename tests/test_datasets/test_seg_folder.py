import re
import shutil

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.datasets import ADE20KDataset as MMSegADE20KDataset

from mmdiffseg.datasets import (
    ADE20KDataset,
    CamVidDataset,
    CityscapesDataset,
    SegFolderDataset,
    ShapesDataset,
)
from mmdiffseg.registry import DATASETS

PREFIX = dict(img_path='images/train', seg_map_path='labels/train')


@pytest.fixture
def root(shapes_root, tmp_path):
    return shutil.copytree(shapes_root, tmp_path / 'shapes')


def refusal(dataset=ShapesDataset, **options):
    with pytest.raises(FileNotFoundError) as caught:
        dataset(data_prefix=PREFIX, **options)
    return str(caught.value)


def test_reads_images_and_labels(shapes_root):
    init_default_scope('mmseg')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    dataset = DATASETS.build(
        dict(
            type='mmdiffseg.ShapesDataset',
            data_root=str(shapes_root),
            data_prefix=PREFIX,
            pipeline=pipeline,
        )
    )
    assert len(dataset) == 6
    labels = cv2.imread(str(shapes_root / 'labels/train/000003.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(dataset[3]['gt_seg_map'], labels)
    assert dataset[3]['img'].shape == (64, 64, 3)


def test_missing_data_root(tmp_path):
    assert refusal(data_root=str(tmp_path / 'none')) == (
        f'ShapesDataset: no folder {tmp_path}/none/images/train: set data_root, or generate it by '
        '`python tools/dataset_converters/shapes.py --out data/shapes`.'
    )


@pytest.mark.parametrize('dataset', [ADE20KDataset, CamVidDataset, CityscapesDataset])
def test_missing_data_root_names_the_guide(dataset, tmp_path):
    sentence = refusal(dataset, data_root=str(tmp_path))
    assert sentence == (
        f'{dataset.__name__}: no folder {tmp_path}/images/train: set data_root, or prepare it as '
        'docs/datasets.md says.'
    )


def test_empty_folder(root):
    for image in (root / 'images/train').iterdir():
        image.unlink()
    assert re.match(
        r"ShapesDataset: no image '\*\.jpg' in .*/images/train: ", refusal(data_root=root)
    )


def test_other_suffix(root):
    sentence = refusal(data_root=str(root), img_suffix='.tif')
    assert sentence.startswith("ShapesDataset: no image '*.tif' in ")
    assert sentence.endswith('or set img_suffix.')


def test_image_without_label(root):
    (root / 'labels/train/000002.png').unlink()
    (root / 'labels/train/000004.png').unlink()
    assert refusal(data_root=str(root)) == (
        '2 of 6 labels of ShapesDataset are missing, the first is '
        f'{root}/labels/train/000002.png: add it, remove its image, or set seg_map_suffix.'
    )


def test_label_without_image(root):
    (root / 'images/train/000002.jpg').unlink()
    assert refusal(data_root=str(root)) == (
        f'1 of 6 labels of ShapesDataset have no image, the first is {root}/labels/train/'
        '000002.png: add the image, remove the label, or list the names to use in an ann_file.'
    )
    (root / 'some.txt').write_text('000001\n000003\n')
    assert len(ShapesDataset(data_root=str(root), data_prefix=PREFIX, ann_file='some.txt')) == 2


def test_listed_image_that_is_missing(root):
    (root / 'some.txt').write_text('000001\n000002\n')
    (root / 'images/train/000002.jpg').unlink()
    assert refusal(data_root=str(root), ann_file='some.txt') == (
        f'1 of 2 images of ShapesDataset in {root}/some.txt are missing, the first is '
        f'{root}/images/train/000002.jpg: add it, or take its name out of the list.'
    )


def test_images_without_labels_are_fine_where_none_are_asked_for(root):
    shutil.rmtree(root / 'labels')
    dataset = ShapesDataset(data_root=str(root), data_prefix=dict(img_path='images/val'))
    assert len(dataset) == 3


def test_own_folder_with_own_classes(root):
    dataset = SegFolderDataset(
        data_root=str(root),
        data_prefix=PREFIX,
        metainfo=dict(classes=('wall', 'thing'), palette=[[0, 0, 0], [255, 0, 0]]),
    )
    assert len(dataset) == 6
    assert dataset.metainfo['classes'] == ('wall', 'thing')


def test_subset_of_classes_maps_the_others_to_ignore(root):
    dataset = ShapesDataset(
        data_root=str(root), data_prefix=PREFIX, metainfo=dict(classes=('background', 'ring'))
    )
    assert dataset.label_map == {0: 0, 6: 1} | dict.fromkeys(range(1, 6), 255)
    assert dataset.metainfo['palette'] == [
        ShapesDataset.METAINFO['palette'][0],
        ShapesDataset.METAINFO['palette'][6],
    ]


def test_every_class_has_its_colour():
    for dataset, count in ((ShapesDataset, 7), (CamVidDataset, 11)):
        palette = {tuple(color) for color in dataset.METAINFO['palette']}
        assert len(dataset.METAINFO['classes']) == len(palette) == count


def test_ade20k_keeps_its_zero_label_rule():
    dataset = ADE20KDataset(lazy_init=True)
    assert isinstance(dataset, MMSegADE20KDataset)
    assert dataset.reduce_zero_label
