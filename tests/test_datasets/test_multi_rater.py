import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmdiffseg.registry import DATASETS

CLASSES = ('background', 'vessel')
TRAIN = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.DrawRater'),
    dict(type='PackSegInputs'),
]
TEST = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadRaters'),
    dict(type='mmdiffseg.PackRaterInputs'),
]


@pytest.fixture
def root(tmp_path):
    """Two images; three raters, rater 2 of the first only; rater n marks n pixels."""
    init_default_scope('mmseg')
    for folder in ('images', 'rater1', 'rater2', 'rater10'):
        (tmp_path / folder / 'val').mkdir(parents=True)
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'images/val/{name}.jpg'), np.zeros((6, 8, 3), np.uint8))
        for number in (1, 2, 10):
            if (name, number) != ('b', 2):
                write(tmp_path / f'rater{number}/val/{name}.png', number)
    return tmp_path


def write(path, pixels, value=1, shape=(6, 8)):
    mask = np.zeros(shape, np.uint8)
    mask.flat[:pixels] = value
    assert cv2.imwrite(str(path), mask)


def build(root, *, pipeline=TEST, raters='rater*/val', classes=CLASSES, **options):
    return DATASETS.build(
        dict(
            type='mmdiffseg.MultiRaterDataset',
            data_root=str(root),
            raters=raters,
            data_prefix=dict(img_path='images/val'),
            metainfo=dict(classes=classes),
            pipeline=pipeline,
            **options,
        )
    )


def areas(sample):
    return sample['data_samples'].gt_raters.data.long().sum(dim=(1, 2)).tolist()


def test_testing_sees_all_raters(root):
    dataset = build(root)
    first, second = dataset[0], dataset[1]
    assert first['data_samples'].raters == ['rater1', 'rater2', 'rater10']
    assert areas(first) == [1, 2, 10]
    assert first['data_samples'].gt_raters.data.shape == (3, 6, 8)
    assert 'gt_sem_seg' not in first['data_samples']
    assert second['data_samples'].raters == ['rater1', 'rater10']
    assert areas(second) == [1, 10]


def test_training_draws_a_rater(root):
    np.random.seed(0)
    dataset = build(root, pipeline=TRAIN)
    drawn = [dataset[0]['data_samples'].gt_sem_seg.data.sum().item() for _ in range(60)]
    assert set(drawn) == {1, 2, 10}
    assert min(map(drawn.count, (1, 2, 10))) > 8
    assert {dataset[1]['data_samples'].gt_sem_seg.data.sum().item() for _ in range(20)} == {1, 10}


def test_crops_and_flips_move_all_raters_alike(root):
    write(root / 'rater2/val/a.png', 10)
    pipeline = [
        *TEST[:2],
        dict(type='RandomFlip', prob=1.0),
        dict(type='RandomCrop', crop_size=(4, 4)),
        TEST[2],
    ]
    maps = build(root, pipeline=pipeline)[0]['data_samples'].gt_raters.data
    assert maps.shape == (3, 4, 4)
    assert (maps[1] == maps[2]).all()


def test_missing_labels_are_said_once_for_each_rater(root, log_lines):
    build(root)[0]
    (said,) = log_lines
    assert 'rater2 labelled 1 of 2 images, not' in said
    assert said.endswith('b.jpg: such images have fewer raters.')


def test_raters_may_be_listed_and_named_by_any_part(root):
    listed = build(root, raters=['rater10/val', 'rater1/val'])
    assert listed[0]['data_samples'].raters == ['rater10', 'rater1']
    (root / 'rater2').rename(root / 'experts')
    (root / 'experts/val').rename(root / 'experts/second')
    (root / 'experts/first').mkdir()
    for name in 'ab':
        write(root / f'experts/first/{name}.png', 5)
    assert build(root, raters='experts/*')[0]['data_samples'].raters == ['first', 'second']


def test_weights_of_exact_modes(root):
    weights = dict(a=dict(rater1=0.25, rater10=0.75), b=dict(rater1=1.0))
    (root / 'weights.json').write_text(json.dumps(weights))
    dataset = build(root, weights_file='weights.json')
    sample = dataset[0]['data_samples']
    assert (sample.raters, sample.rater_weights) == (['rater1', 'rater10'], [0.25, 0.75])
    np.random.seed(0)
    train = build(root, weights_file='weights.json', pipeline=TRAIN)
    drawn = [train[0]['data_samples'].gt_sem_seg.data.sum().item() for _ in range(200)]
    assert 130 < drawn.count(10) < 170
    assert drawn.count(2) == 0

    weights['a'] = dict(rater1=0.5, rater7=0.25)
    (root / 'weights.json').write_text(json.dumps(weights))
    with pytest.raises(ValueError, match='of a add up to 0.75 instead of 1, and rater7 has no'):
        build(root, weights_file='weights.json')
    with pytest.raises(FileNotFoundError, match='no weights_file'):
        build(root, weights_file='other.json')


def test_masks_of_0_and_255(root):
    for path in root.glob('rater*/val/*.png'):
        write(path, 4, value=255)
    assert areas(build(root, foreground=255)[0]) == [4, 4, 4]


def test_labels_that_count_from_1(root):
    for path in root.glob('rater*/val/*.png'):
        write(path, 3, value=2)
    maps = build(root, reduce_zero_label=True)[0]['data_samples'].gt_raters.data
    assert maps[0].flatten()[:5].tolist() == [1, 1, 1, 255, 255]


def test_images_without_raters_are_for_inference(root):
    pipeline = [TEST[0], dict(type='PackSegInputs')]
    assert 'gt_raters' not in build(root, pipeline=pipeline)[0]['data_samples']


def test_an_image_that_nobody_labelled_is_refused(root):
    for path in root.glob('rater*/val/b.png'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images have no rater, .*b.jpg: add b.png'):
        build(root)


@pytest.mark.parametrize('raters', ['observer*/val', 'rater*/train'])
def test_no_rater_at_all_is_refused(root, raters):
    with pytest.raises(FileNotFoundError, match='no rater, as no folder below'):
        build(root, raters=raters)


def test_raters_of_one_name_are_refused(root):
    (root / 'rater1/train').mkdir()
    with pytest.raises(ValueError, match="are both called 'rater1'"):
        build(root, raters=['rater1/val', 'rater1/train'])


@pytest.mark.parametrize('pipeline', [TRAIN, TEST])
def test_wrong_labels_are_refused_by_file_and_rater(root, pipeline):
    for path in root.glob('rater*/val/a.png'):
        if 'rater2' not in str(path):
            path.unlink()
    write(root / 'rater2/val/a.png', 3, value=7)
    with pytest.raises(ValueError, match=r'rater2/val/a.png by rater2 holds labels outside \[0, 2'):
        build(root, pipeline=pipeline)[0]
    write(root / 'rater2/val/a.png', 3, shape=(5, 8))
    with pytest.raises(ValueError, match=r'a.jpg is 8x6 and .*a.png by rater2 is 8x5'):
        build(root, pipeline=pipeline)[0]
