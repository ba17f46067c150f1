import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import CocoPanopticMetric
from mmengine.structures import PixelData
from PIL import Image

from mmdiffseg.compat.panoptic_api import OFFSET, PQStat, id2rgb, rgb2id

CATEGORIES = {1: dict(id=1, isthing=1), 2: dict(id=2, isthing=1), 7: dict(id=7, isthing=0)}


def test_colours_are_ids_in_base_256():
    ids = np.array([[0, 1, 255], [256, 65536, OFFSET - 1]])
    colours = id2rgb(ids)
    assert colours.dtype == np.uint8
    assert colours[1].tolist() == [[0, 1, 0], [0, 0, 1], [255, 255, 255]]
    assert (rgb2id(colours) == ids).all()
    assert rgb2id([3, 2, 1]) == 3 + 2 * 256 + 65536


def stat():
    stat = PQStat()
    stat[1].tp, stat[1].fp, stat[1].fn, stat[1].iou = 2, 1, 3, 1.5
    stat[7].fn = 4
    return stat


def test_panoptic_quality_by_hand():
    means, per_category = stat().pq_average(CATEGORIES, isthing=None)
    assert per_category[1] == dict(
        pq=pytest.approx(1.5 / (2 + 0.5 + 1.5)), sq=0.75, rq=pytest.approx(2 / 4)
    )
    assert per_category[2] == per_category[7] == dict(pq=0, sq=0, rq=0)
    # category 2 does not occur; category 7 does, and is missed
    assert means == dict(pq=0.375 / 2, sq=0.75 / 2, rq=0.25, n=2)
    assert stat().pq_average(CATEGORIES, isthing=True)[0] == dict(pq=0.375, sq=0.75, rq=0.5, n=1)
    assert stat().pq_average(CATEGORIES, isthing=False)[0]['n'] == 1
    assert PQStat().pq_average(CATEGORIES, isthing=None)[0] == dict(pq=0, sq=0, rq=0, n=0)


def test_images_and_processes_add_up():
    total = PQStat()
    total += stat()
    total += pickle.loads(pickle.dumps(stat()))
    assert (total[1].tp, total[1].fp, total[1].fn, total[1].iou) == (4, 2, 6, 3.0)
    assert total[7].fn == 8


@pytest.fixture
def evaluate(tmp_path):
    """Runs mmdet's metric on one image of 10 x 10 pixels; classes thing, wall."""

    def evaluate(truth, segments, prediction):
        (tmp_path / 'png').mkdir()
        Image.fromarray(id2rgb(truth)).save(tmp_path / 'png/a.png')
        for segment in segments:
            segment.update(bbox=[0, 0, 1, 1], area=int((truth == segment['id']).sum()))
        categories = [
            dict(id=3, name='thing', isthing=1),
            dict(id=9, name='wall', isthing=0),
        ]
        annotation = dict(image_id=1, file_name='a.png', segments_info=segments)
        image = dict(id=1, file_name='a.jpg', height=10, width=10)
        content = dict(images=[image], annotations=[annotation], categories=categories)
        (tmp_path / 'panoptic.json').write_text(json.dumps(content))
        metric = CocoPanopticMetric(
            ann_file=str(tmp_path / 'panoptic.json'), seg_prefix=str(tmp_path / 'png')
        )
        metric.dataset_meta = dict(
            classes=('thing', 'wall'), thing_classes=('thing',), stuff_classes=('wall',)
        )
        sample = dict(
            img_id=1,
            img_path='a.jpg',
            ori_shape=(10, 10),
            pred_panoptic_seg=PixelData(sem_seg=torch.from_numpy(prediction)[None]).to_dict(),
        )
        metric.process({}, [sample])
        return metric.evaluate(1)

    return evaluate


def test_mmdets_metric_on_a_hand_made_image(evaluate):
    truth = np.zeros((10, 10), np.int32)  # void
    truth[:4], truth[4:6], truth[6:, :5] = 11, 70000, 12
    segments = [
        dict(id=11, category_id=9, iscrowd=0),
        dict(id=70000, category_id=3, iscrowd=0),
        dict(id=12, category_id=3, iscrowd=1),
    ]
    prediction = np.full((10, 10), 2, np.int32)  # void
    prediction[:5] = 1  # the wall, 10 pixels too large
    prediction[5] = 1000  # half of the thing: no match, since IoU is not above 0.5
    prediction[6:, :5] = 2000  # on the crowd, hence not counted
    prediction[7, 5:] = 3000  # on void, hence not counted
    results = evaluate(truth, segments, prediction)
    assert results['coco_panoptic/PQ_st'] == pytest.approx(100 * 40 / 50)
    assert results['coco_panoptic/PQ_th'] == 0  # one false positive, one false negative
    assert results['coco_panoptic/PQ'] == pytest.approx(40)
    assert results['coco_panoptic/SQ'] == pytest.approx(40)


def test_a_perfect_prediction_scores_100(evaluate):
    truth = np.full((10, 10), 5, np.int32)
    truth[:3] = 300
    segments = [
        dict(id=5, category_id=9, iscrowd=0),
        dict(id=300, category_id=3, iscrowd=0),
    ]
    results = evaluate(truth, segments, np.where(truth == 5, 1, 1000).astype(np.int32))
    assert results['coco_panoptic/PQ'] == results['coco_panoptic/RQ_st'] == 100


def test_an_installed_panopticapi_comes_first(tmp_path):
    package = tmp_path / 'panopticapi'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / 'evaluation.py').write_text('PQStat = "theirs"')
    code = 'import mmdiffseg\nfrom panopticapi.evaluation import PQStat\nprint(PQStat)'
    for path, expected in ((str(tmp_path), 'theirs'), ('', 'panoptic_api.PQStat')):
        done = subprocess.run(
            [sys.executable, '-c', f'import sys; sys.path.insert(0, {path!r})\n{code}'],
            capture_output=True,
            text=True,
        )
        assert expected in done.stdout, done.stderr
