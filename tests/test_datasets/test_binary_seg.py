import re

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from mmdiffseg.datasets import BinarySegDataset
from mmdiffseg.registry import DATASETS

PREFIX = dict(img_path='images', seg_map_path='masks')
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='mmdiffseg.LoadBinaryMask')]


@pytest.fixture
def write(tmp_path):
    """Write three noise images and the given masks, and build the dataset."""

    def run(masks, **options):
        init_default_scope('mmseg')
        rng = np.random.default_rng(0)
        for folder in PREFIX.values():
            (tmp_path / folder).mkdir(exist_ok=True)
        for name, mask in zip('abc', masks, strict=True):
            image = rng.integers(0, 256, (4, 6, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / f'images/{name}.jpg')
            Image.fromarray(np.asarray(mask)).save(tmp_path / f'masks/{name}.png')
        return DATASETS.build(
            dict(
                type='mmdiffseg.BinarySegDataset',
                data_root=str(tmp_path),
                data_prefix=PREFIX,
                pipeline=PIPELINE,
                **options,
            )
        )

    return run


def masks(*values, dtype=np.uint8):
    """Three masks (4, 6): one empty, two with the values in a row."""
    empty = np.zeros((4, 6), dtype)
    filled = empty.copy()
    filled[1, : len(values)] = values
    return [empty, filled, filled]


def test_class_ids_and_ignore_are_the_default(write):
    dataset = write(masks(1, 255, 1))
    assert dataset.metainfo['classes'] == ('background', 'foreground')
    assert len(dataset) == 3
    sample = dataset[1]
    assert sample['gt_seg_map'].dtype == np.uint8
    np.testing.assert_array_equal(sample['gt_seg_map'], masks(1, 255, 1)[1])
    assert sample['seg_fields'] == ['gt_seg_map']
    assert not dataset[0]['gt_seg_map'].any()


@pytest.mark.parametrize(
    ('foreground', 'stored', 'dtype', 'read'),
    [
        (255, (255, 255), np.uint8, (1, 1)),
        (7, (7, 255), np.uint8, (1, 255)),
        ('nonzero', (3, 255, 256, 511), np.uint16, (1, 1, 1, 1)),
        (1, (True, False, True), bool, (1, 0, 1)),
        (65535, (65535, 255), np.uint16, (1, 255)),
    ],
)
def test_foreground_says_what_the_values_mean(write, foreground, stored, dtype, read):
    dataset = write(masks(*stored, dtype=dtype), foreground=foreground)
    np.testing.assert_array_equal(dataset[2]['gt_seg_map'], masks(*read)[2])


def test_other_values_are_listed(write):
    with pytest.raises(ValueError) as refused:
        write(masks(7, 255, 128))
    assert re.sub('/.*/', '', str(refused.value)) == (
        'b.png holds 0, 7, 128, 255: a mask may hold 0, foreground=1 and ignore_index=255; set the '
        "dataset's foreground to the value of the object, or to 'nonzero' if every value but 0 is "
        'object.'
    )


def test_16_bit_values_do_not_wrap(write):
    # mmseg's loader would read 257 as 1
    with pytest.raises(ValueError, match='holds 0, 257: a mask may hold'):
        write(masks(257, dtype=np.uint16))


def test_a_long_list_of_values_is_cut(write):
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    with pytest.raises(ValueError, match=r'holds 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.: '):
        write([values] * 3)


def test_colour_image_instead_of_a_mask(write):
    with pytest.raises(ValueError, match=r'a\.png is a colour image of shape \(4, 6, 3\)'):
        write([np.zeros((4, 6, 3), np.uint8)] * 3)


def test_a_later_wrong_mask_stops_when_it_is_loaded(write):
    dataset = write([masks(1)[1], masks(9)[1], masks(1)[1]])
    with pytest.raises(ValueError, match=r'b\.png holds 0, 9'):
        dataset[1]


def test_mask_of_another_size(write):
    dataset = write([np.ones((4, 6), np.uint8), np.ones((6, 4), np.uint8), *masks(1)[:1]])
    with pytest.raises(ValueError) as refused:
        dataset[1]
    assert re.sub('/[^ ]*/', '', str(refused.value)) == (
        'b.jpg is 6x4 and its mask b.png is 4x6: make them the same size.'
    )


def test_mask_is_compared_with_the_image_before_its_resize(write):
    dataset = write(masks(1))
    dataset.pipeline.transforms.insert(1, lambda results: {**results, 'img_shape': (2, 3)})
    assert dataset[1]['gt_seg_map'].shape == (4, 6)


def test_only_empty_masks(write):
    with pytest.raises(ValueError) as refused:
        write(masks())
    assert re.sub('/.*/', '', str(refused.value)) == (
        'BinarySegDataset: all 3 masks in masks are empty: they hold 0; check foreground=1, or set '
        'test_mode=True if a test set is meant to be.'
    )
    assert len(write(masks(), test_mode=True)) == 3


def test_ignored_pixels_are_no_foreground(write):
    # what becomes of masks of 0 and 255 where nobody says so
    with pytest.raises(
        ValueError, match='hold 0 and 255, of which 255 is ignored; check foreground'
    ):
        write(masks(255))


@pytest.mark.parametrize('foreground', [0, -1, 'any', 1.0])
def test_impossible_foreground(foreground):
    with pytest.raises(ValueError, match=re.escape(f'foreground={foreground!r} must be')):
        BinarySegDataset(foreground=foreground)


def test_classes_may_have_other_names_but_not_another_number(write):
    dataset = write(masks(1), metainfo=dict(classes=('ground', 'road')))
    assert dataset.metainfo['classes'] == ('ground', 'road')
    assert dataset.metainfo['palette'] == BinarySegDataset.METAINFO['palette']
    np.testing.assert_array_equal(dataset[1]['gt_seg_map'], masks(1)[1])
    with pytest.raises(ValueError, match=r"BinarySegDataset has 2 classes, .* \('a', 'b', 'c'\)"):
        write(masks(1), metainfo=dict(classes=('a', 'b', 'c')))


def test_images_without_masks_pass(write, tmp_path):
    write(masks(1))
    dataset = BinarySegDataset(
        data_root=str(tmp_path), data_prefix=dict(img_path='images'), pipeline=PIPELINE
    )
    assert 'gt_seg_map' not in dataset[0]
