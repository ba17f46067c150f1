"""Reading PhraseCut's files."""

import json

import numpy as np
import pytest
from mmengine.dataset import Compose
from PIL import Image

from mmdiffseg.datasets import PhraseCutDataset
from mmdiffseg.registry import TRANSFORMS


def task(number, phrase, name, polygons):
    return dict(
        task_id=f'7__{number}',
        image_id=7,
        ann_ids=[1],
        instance_boxes=[[0, 0, 5, 5]],
        Polygons=polygons,
        phrase=phrase,
        phrase_structure=dict(name=name, type='attribute'),
    )


TASKS = [
    task(0, 'Red traffic light', 'traffic light', [[[[2.9, 1], [6, 1], [6, 4], [2.9, 4]]]]),
    task(1, 'tall tower', 'tower', [[[[0, 0], [1, 0], [1, 1]]], [[[8, 8], [9, 8], [9, 9]]]]),
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'images').mkdir()
    Image.new('RGB', (12, 10)).save(tmp_path / 'images/7.jpg')
    (tmp_path / 'refer_val.json').write_text(json.dumps(TASKS))
    return tmp_path


def test_tasks_and_masks(root):
    load = [dict(type='mmcv.LoadImageFromFile'), dict(type='mmdiffseg.LoadPolygonUnion')]
    pipeline = Compose([TRANSFORMS.build(t) for t in load])
    data = PhraseCutDataset(data_root=str(root), ann_file='refer_val.json')
    first, second = (pipeline(data.get_data_info(i)) for i in range(2))
    assert first['text'] == 'red traffic light'
    rectangle = np.zeros((10, 12), np.uint8)
    rectangle[1:5, 2:7] = 1  # corners are cut to whole pixels, the outline counts
    assert np.array_equal(first['gt_seg_map'], rectangle)
    assert second['gt_seg_map'].sum() == 6  # both instances


def test_subsets_by_the_noun(root):
    texts = {}
    for subset in ('all', 'seen', 'unseen'):
        data = PhraseCutDataset(data_root=str(root), ann_file='refer_val.json', subset=subset)
        texts[subset] = [data.get_data_info(i)['text'] for i in range(len(data))]
    assert texts['seen'] == ['red traffic light']
    assert texts['unseen'] == ['tall tower']
    assert len(texts['all']) == 2


def test_what_is_wrong_is_said(root):
    with pytest.raises(ValueError, match="subset='new' must be one of"):
        PhraseCutDataset(data_root=str(root), ann_file='refer_val.json', subset='new')
    with pytest.raises(FileNotFoundError, match='no list of tasks'):
        PhraseCutDataset(data_root=str(root), ann_file='refer_test.json')
    (root / 'images/7.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 1 images .* are missing'):
        PhraseCutDataset(data_root=str(root), ann_file='refer_val.json')
