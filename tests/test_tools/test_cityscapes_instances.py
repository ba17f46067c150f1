"""The lists of Cityscapes' objects, from the three kinds of annotations."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmdiffseg.datasets import CityscapesInstanceDataset

TOOL = 'dataset_converters/cityscapes_instances.py'
CLASSES = list(CityscapesInstanceDataset.CLASSES)
SIZE = (64, 128)


def component(poly, area, bbox):
    return dict(poly=poly, area=area, bbox=bbox)


def polyrnn_instance(label, split, bbox, *components):
    return dict(
        label=label,
        img_path=f'/some/where/leftImg8bit/{split}/ulm/a_leftImg8bit.png',
        img_height=64,
        img_width=128,
        bbox=bbox,
        components=components,
    )


def read(out, split):
    content = json.loads((out / split / 'all_classes_instances.json').read_text())
    assert content['classes_names'] == list(content['data']) == CLASSES
    return content['data']


@pytest.fixture
def polyrnn(tmp_path):
    """One image a split; what is kept, and what is left out for each of four reasons."""
    big = component([[0, 4], [30, 4], [30, 24.5]], 307.5, [-3, 4, 33, 20.5])
    small = component([[40, 40], [50, 40], [50, 60]], 100.0, [40, 40, 10, 20])
    for split in ('train', 'train_val', 'val'):
        folder = tmp_path / 'v5' / split / 'ulm'
        folder.mkdir(parents=True)
        instances = [
            polyrnn_instance('car', split, [-3.0, 4.0, 33.0, 20.5], big, small),
            polyrnn_instance('car', split, [40, 40, 10, 20], small),
            polyrnn_instance('bicycle', split, [0, 4, 0, 20], big),
            polyrnn_instance('road', split, [0, 4, 30, 20], big),
        ]
        (folder / 'a.json').write_text(json.dumps(instances))
    return tmp_path / 'v5'


def test_polyrnn(call_tool, polyrnn, tmp_path, capsys):
    call_tool(TOOL, 'polyrnn', polyrnn, '--out', tmp_path / 'lists')
    printed, progress = capsys.readouterr()
    assert 'train_full/all_classes_instances.json: person 0, rider 0, car 2, ' in printed
    assert 'train_val: 1/1 images' in progress

    def entry(split):
        return {
            'labe': 'car',
            'img': dict(height=64, width=128, file_name=f'{split}/ulm/a_leftImg8bit.png'),
            'segmentation': [[0, 4, 30, 4, 30, 24.5]],
            'comp_bbox': [[0, 4, 33, 20.5]],
            'bbox': [0, 4, 33, 20.5],  # shifted, not cut
        }

    empty = {name: [] for name in CLASSES}
    for split in ('train', 'train_val', 'val'):
        assert read(tmp_path / 'lists', split) == {**empty, 'car': [entry(split)]}
    both = [entry('train'), entry('train_val')]
    assert read(tmp_path / 'lists', 'train_full') == {**empty, 'car': both}


@pytest.fixture
def gtfine(tmp_path):
    """A car with a hole behind a pole, too small a person and a group, in three cities."""
    hull = [[-2, 10], [60, 10], [60, 40], [-2, 40]]
    objects = [
        dict(label='car', polygon=hull),
        dict(label='car', polygon=hull, deleted=1),
        dict(label='cargroup', polygon=hull),
        dict(label='person', polygon=[[70, 10], [80, 10], [80, 20], [70, 20]]),
    ]
    ids = np.full(SIZE, 7, np.uint16)
    ids[10:40, :60] = 26001
    ids[10:40, 30:32] = 17  # the pole, in front of the car
    ids[20:25, 5:15] = 7
    ids[50, 60] = 26001  # a speck of the car
    ids[10:20, 70:80] = 24000
    ids[45:60, 100:120] = 26  # a group has no number
    root = tmp_path / 'gtFine'
    for city in ('train/ulm', 'train/zurich', 'val/lindau'):
        (root / city).mkdir(parents=True)
        stem = f'{root / city}/{city.split("/")[1]}_000000_000019_gtFine_'
        content = dict(imgHeight=SIZE[0], imgWidth=SIZE[1], objects=objects)
        with open(f'{stem}polygons.json', 'w') as file:
            json.dump(content, file)
        cv2.imwrite(f'{stem}instanceIds.png', ids)
    return root


def test_splits_and_names_of_gtfine(call_tool, gtfine, tmp_path):
    call_tool(TOOL, 'polygons', gtfine, '--out', tmp_path / 'lists')
    names = dict(
        train=['train/ulm/ulm'], train_val=['train/zurich/zurich'], val=['val/lindau/lindau']
    )
    names['train_full'] = names['train'] + names['train_val']
    for split, stems in names.items():
        cars = read(tmp_path / 'lists', split)['car']
        files = [f'{stem}_000000_000019_leftImg8bit.png' for stem in stems]
        assert [car['img']['file_name'] for car in cars] == files


def test_polygons(call_tool, gtfine, tmp_path):
    call_tool(TOOL, 'polygons', gtfine, '--out', tmp_path / 'lists')
    data = read(tmp_path / 'lists', 'val')
    assert {name: len(entries) for name, entries in data.items() if entries} == dict(car=1)
    (car,) = data['car']
    assert car['segmentation'] == [[-2, 10, 60, 10, 60, 40, -2, 40]]
    assert car['bbox'] == car['comp_bbox'][0] == [0, 10, 60, 30]  # cut at the image's edge
    assert car['img'] == dict(height=64, width=128, file_name=car['img']['file_name'])


def test_instance_ids_keep_every_visible_pixel(call_tool, gtfine, tmp_path):
    call_tool(TOOL, 'instance-ids', gtfine, '--out', tmp_path / 'lists')
    data = read(tmp_path / 'lists', 'val')
    assert {name: len(entries) for name, entries in data.items() if entries} == dict(car=1)
    (car,) = data['car']
    expected = np.zeros(SIZE, np.uint8)
    expected[10:40, :30] = expected[10:40, 32:60] = 1
    expected[20:25, 5:15] = 0
    mask = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(car['segmentation'], *SIZE)))
    np.testing.assert_array_equal(mask, expected)
    assert sorted(car['comp_bbox']) == [[0, 10, 30, 30], [32, 10, 28, 30]]
    assert car['bbox'] == [0, 10, 60, 30]


def test_runs_up_to_the_last_pixel(call_tool, gtfine, tmp_path):
    ids = np.zeros(SIZE, np.uint16)
    ids[-20:, -20:] = 33002
    for path in gtfine.rglob('*_instanceIds.png'):
        cv2.imwrite(str(path), ids)
    call_tool(TOOL, 'instance-ids', gtfine, '--out', tmp_path / 'lists')
    (bicycle,) = read(tmp_path / 'lists', 'train')['bicycle']
    mask = coco_mask.decode(coco_mask.frPyObjects(bicycle['segmentation'], *SIZE))[..., 0]
    np.testing.assert_array_equal(mask, ids > 0)


def test_lists_are_replaced_only_if_asked(refused, call_tool, polyrnn, tmp_path):
    call = (TOOL, 'polyrnn', polyrnn, '--out', tmp_path / 'lists')
    call_tool(*call)
    path = tmp_path / 'lists/train/all_classes_instances.json'
    assert f'{path} exists: add --overwrite to replace it' in refused(*call)
    path.write_text('')
    call_tool(*call, '--overwrite')
    assert len(read(tmp_path / 'lists', 'train')['car']) == 1


def test_missing_folder(refused, polyrnn, tmp_path):
    said = refused(TOOL, 'polyrnn', tmp_path, '--out', tmp_path / 'lists')
    assert f'no folder {tmp_path}/train: give the folder that holds train and val' in said


def test_no_files(refused, polyrnn, tmp_path):
    said = refused(TOOL, 'polygons', polyrnn, '--out', tmp_path / 'lists')
    assert f'no <city>/*_gtFine_polygons.json for the split train below {polyrnn}' in said
    assert not (tmp_path / 'lists').exists()
