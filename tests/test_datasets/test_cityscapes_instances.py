import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmdiffseg.datasets import CityscapesInstanceDataset
from mmdiffseg.registry import DATASETS

CLASSES = CityscapesInstanceDataset.CLASSES
SIZE = (60, 120)
LOAD = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.CropInstance'),
    dict(type='mmdiffseg.LoadInstanceMask'),
]


def box_polygon(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def entry(name, bbox, *polygons):
    return dict(
        labe=name,
        img=dict(height=SIZE[0], width=SIZE[1], file_name='val/ulm/a_000001_leftImg8bit.png'),
        segmentation=list(polygons or [box_polygon(*bbox)]),
        comp_bbox=[bbox],
        bbox=bbox,
    )


def write_list(root, **entries):
    (root / 'val').mkdir(exist_ok=True)
    data = {name: entries.get(name, []) for name in CLASSES}
    path = root / 'val/all_classes_instances.json'
    path.write_text(json.dumps(dict(classes_names=CLASSES, data=data)))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture
def root(tmp_path, image):
    """One image of two cars, one of them in two parts, and a bicycle."""
    folder = tmp_path / 'leftImg8bit/val/ulm'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'a_000001_leftImg8bit.png'), image)
    parts = box_polygon(10, 20, 5, 10), box_polygon(12, 25, 13, 15)
    write_list(
        tmp_path,
        car=[entry('car', [10.0, 20.0, 15.0, 20.0], *parts), entry('car', [100.9, 3, 30, 9.9])],
        bicycle=[entry('bicycle', [40, 10, 20, 30])],
    )
    return tmp_path


def build(root, **options):
    init_default_scope('mmseg')
    defaults = dict(
        type='mmdiffseg.CityscapesInstanceDataset',
        data_root=str(root),
        data_prefix=dict(img_path='leftImg8bit'),
        ann_file='val/all_classes_instances.json',
        pipeline=LOAD,
    )
    return DATASETS.build({**defaults, **options})


def test_tight_crop_and_union_of_the_parts(root, image):
    dataset = build(root, class_name='car')
    sample = dataset[0]
    np.testing.assert_array_equal(sample['img'], image[20:40, 10:25])
    expected = np.zeros(SIZE, np.uint8)
    expected[20:30, 10:15] = expected[25:40, 12:25] = 1
    np.testing.assert_array_equal(sample['gt_seg_map'], expected[20:40, 10:25])
    assert sample['gt_seg_map'].dtype == np.uint8
    assert sample['seg_fields'] == ['gt_seg_map']
    assert sample['ori_shape'] == sample['img_shape'] == (20, 15)
    # truncated, and cut off where the image ends
    np.testing.assert_array_equal(dataset[1]['img'], image[3:12, 100:120])


@pytest.mark.parametrize(
    ('bbox', 'expansion', 'window'),
    [
        ([10, 20, 20, 20], 15, (8, 18, 32, 42)),  # 8.5 and 31.5 go to the even side, so do 18.5 ...
        ([11, 21, 20, 20], 15, (10, 20, 32, 42)),  # ... 9.5 and 32.5
        ([2, 1, 40, 30], 20, (0, 0, 46, 34)),  # -2 and -2 are clipped
        ([90, 30, 30, 30], 10, (88, 28, 120, 60)),
        ([10.9, 20.9, 10.9, 10.9], 0, (10, 20, 20, 30)),
    ],
)
def test_expanded_crop(root, image, bbox, expansion, window):
    write_list(root, car=[entry('car', bbox)])
    sample = build(root, class_name='car', expansion=expansion)[0]
    left, top, right, bottom = window
    assert sample['window'] == window
    np.testing.assert_array_equal(sample['img'], image[top:bottom, left:right])
    assert sample['gt_seg_map'].shape == (bottom - top, right - left)


def many_cars(root, count=60):
    write_list(root, car=[entry('car', [10, 20, 15, 20])] * count, bus=[entry('bus', [0, 0, 5, 5])])


def expansions(dataset):
    return [dataset.get_data_info(index)['expansion'] for index in range(len(dataset))]


def test_expansion_is_drawn_once(root):
    many_cars(root)
    drawn = expansions(build(root, class_name='car', expansion=(10, 20)))
    assert set(drawn) == set(range(10, 21))  # both ends occur
    assert drawn == expansions(build(root, class_name='car', expansion=(10, 20)))
    assert drawn == expansions(build(root, expansion=(10, 20)))[:60]  # whatever else there is
    assert drawn != expansions(build(root, class_name='car', expansion=(10, 20), seed=1))


def test_expansion_drawn_at_every_access(root):
    write_list(root, car=[entry('car', [30, 20, 40, 20])])
    once = build(root, class_name='car', expansion=(0, 50))
    assert len({once[0]['window'] for _ in range(20)}) == 1
    dataset = build(root, class_name='car', expansion=(0, 50), redraw_expansion=True)
    np.random.seed(0)
    windows = [dataset[0]['window'] for _ in range(400)]
    lefts = [window[0] for window in windows]
    assert (min(lefts), max(lefts)) == (20, 30)
    np.random.seed(0)
    assert windows == [dataset[0]['window'] for _ in range(400)]


def test_identities(root):
    infos = [build(root).get_data_info(index) for index in range(3)]
    assert [info['sample_id'] for info in infos] == [
        'a_000001_car_0',
        'a_000001_car_1',
        'a_000001_bicycle_0',
    ]
    assert [info['image_class'] for info in infos] == [2, 2, 7]
    (bicycle,) = build(root, class_name='bicycle')
    assert (bicycle['sample_id'], bicycle['image_class']) == ('a_000001_bicycle_0', 7)


def test_names_of_the_classes(root):
    assert build(root, class_name='car').metainfo['classes'] == ('background', 'car')
    assert build(root).metainfo['classes'] == ('background', 'object')


def test_mask_loaded_after_the_resize_keeps_the_size_of_the_crop(root):
    load, crop, mask = LOAD
    resize = dict(type='mmdiffseg.ResizeWithoutAntialias', scale=(16, 16))
    sample = build(root, class_name='car', pipeline=[load, crop, resize, mask])[0]
    assert sample['img'].shape == (16, 16, 3)
    assert sample['gt_seg_map'].shape == sample['ori_shape'] == (20, 15)
    sample = build(root, class_name='car', pipeline=[*LOAD, resize])[0]
    assert sample['gt_seg_map'].shape == (16, 16)
    assert sample['ori_shape'] == (20, 15)


def test_crops_to_run_inference_on_pass(root, image):
    path = root / 'leftImg8bit/val/ulm/a_000001_leftImg8bit.png'
    results = build(root).pipeline(dict(img_path=str(path)))
    np.testing.assert_array_equal(results['img'], image)
    assert 'gt_seg_map' not in results


@pytest.mark.parametrize('bbox', [[10, 20, 0.9, 20], [120, 20, 5, 5], [10, 65, 5, 5]])
def test_empty_crop(root, bbox):
    write_list(root, car=[entry('car', [1, 1, 5, 5]), entry('car', bbox, box_polygon(1, 1, 9, 9))])
    sentence = (
        r'val/all_classes_instances.json: the box \[.*\] .* of a_000001_car_1 leaves no pixel'
    )
    with pytest.raises(ValueError, match=sentence):
        build(root, class_name='car', expansion=(10, 20))


def test_wrong_class(root):
    sentence = "class_name='bike' must be one of person, rider, .*, motorcycle, bicycle, or None"
    with pytest.raises(ValueError, match=sentence):
        build(root, class_name='bike')
    with pytest.raises(ValueError, match='all_classes_instances.json lists no truck'):
        build(root, class_name='truck')


@pytest.mark.parametrize('expansion', [-1, (20, 10)])
def test_wrong_expansion(root, expansion):
    with pytest.raises(ValueError, match='must be a percentage from 0, or'):
        build(root, expansion=expansion)
    with pytest.raises(ValueError, match='needs a range to draw from.*got 15'):
        build(root, expansion=15, redraw_expansion=True)


def test_missing_files(root):
    with pytest.raises(FileNotFoundError, match='no list .*/none.json: set data_root, or make'):
        build(root, ann_file='none.json')
    (root / 'leftImg8bit/val/ulm/a_000001_leftImg8bit.png').unlink()
    sentence = '1 of 1 images of .* in .* are missing, the first is .*/a_000001_leftImg8bit.png: '
    with pytest.raises(FileNotFoundError, match=sentence):
        build(root)
    with pytest.raises(FileNotFoundError, match=sentence):
        build(root, data_prefix=dict(img_path='elsewhere'))


def test_image_of_another_size(root, image):
    cv2.imwrite(str(root / 'leftImg8bit/val/ulm/a_000001_leftImg8bit.png'), image[:50])
    with pytest.raises(ValueError, match='is 120x50, but 120x60 in the list of its objects'):
        build(root)[0]
