import pytest
import torch

from mmdiffseg.evaluation import VideoClassIoUMetric

SKY, GRASS, SEA = 1, 2, 3
LABELS = [[SKY, SKY, GRASS, GRASS, 0, 255]]


def episode(frame, class_id, margins, labels=LABELS):
    margins = torch.tensor([margins], dtype=torch.float)
    return dict(
        img_path=frame,
        class_id=class_id,
        seg_logits=dict(data=torch.stack([-margins / 2, margins / 2])),
        gt_class_map=dict(data=torch.tensor([labels])),
    )


@pytest.fixture
def metric():
    metric = VideoClassIoUMetric()
    metric.dataset_meta = dict(concepts={SKY: 'sky', GRASS: 'grass', SEA: 'sea'})
    return metric


def test_the_largest_positive_margin_wins_and_void_does_not_count(metric):
    # sky wins in 0, 2; grass in 3; nothing in 1; what is predicted on others and void is no error
    metric.process({}, [episode('a', SKY, [3, -1, 2, 1, 5, 5])])
    metric.process({}, [episode('a', GRASS, [2, -2, 1, 2, 1, 1])])
    iou = {SKY: 1 / 3, GRASS: 1 / 2}  # the sea is neither there nor predicted
    assert metric.evaluate(2)['mIoU'] == pytest.approx(100 * sum(iou.values()) / 2)


def test_pixels_are_pooled_over_frames_and_runs_are_apart(metric):
    perfect = [episode('a', SKY, [1, 1, -1, -1, 0, 0]), episode('a', GRASS, [-1, -1, 1, 1, 0, 0])]
    sea = [episode('b', SKY, [1] * 6, [[SEA] * 6])]
    metric.process({}, perfect + sea)
    # sky: 2 of 2 + 6 wrong ones; grass: all; sea: none
    assert metric.evaluate(3)['mIoU'] == pytest.approx(100 * (2 / 8 + 1 + 0) / 3)
    metric.process({}, perfect)
    assert metric.evaluate(2)['mIoU'] == pytest.approx(100)
