"""The scores of referring segmentation, against recorded ones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.evaluation import RefIoUMetric

RECORDED = np.load(Path(__file__).parents[1] / 'data/ref_iou.npz')
NAMES = ('oIoU', 'mIoU', 'Pr@0.5', 'Pr@0.6', 'Pr@0.7', 'Pr@0.8', 'Pr@0.9')


def sample(gt, preds, **known):
    return dict(
        img_path='images/a.jpg',
        gt_sem_seg=dict(data=torch.as_tensor(gt)[None].long()),
        pred_instances=dict(masks=torch.as_tensor(np.asarray(preds))),
        **known,
    )


def recorded():
    """True mask (H, W) and predictions (n, H, W), one a sentence, of every recorded reference."""
    shapes = RECORDED['shapes']  # of the true mask and the predictions in one
    ends = shapes.prod(axis=1).cumsum()
    masks = np.unpackbits(RECORDED['masks'], count=ends[-1]).astype(bool)
    for part, shape in zip(np.split(masks, ends[:-1]), shapes, strict=True):
        gt, *preds = part.reshape(shape)
        yield gt, preds


def evaluate(samples, **options):
    metric = RefIoUMetric(**options)
    metric.process({}, samples)
    return metric.compute_metrics(metric.results)


def test_equals_the_recorded_scores():
    scores = evaluate([sample(gt, preds) for gt, preds in recorded()])
    assert [scores[name] / 100 for name in NAMES] == pytest.approx(RECORDED['standard'].tolist())


@pytest.mark.parametrize('together', [True, False])
def test_weighted_iou_of_the_released_code(together):
    samples = [sample(gt, preds) for gt, preds in recorded()]
    if not together:  # a sample for each sentence knows which one of its reference it is
        samples = [
            sample(gt, [pred], sentence_index=index)
            for gt, preds in recorded()
            for index, pred in enumerate(preds)
        ]
    scores = evaluate(samples, released_weighted_iou=True)
    expected = 100 * float(RECORDED['released_weighted_iou'])
    assert scores['released_weighted_iou'] == pytest.approx(expected, abs=1e-6)


def test_order_and_processes_do_not_matter():
    samples = [sample(gt, preds) for gt, preds in recorded()]
    metric = RefIoUMetric()
    metric.process({}, samples[1::2])
    metric.process({}, samples[::2])
    assert metric.compute_metrics(metric.results) == evaluate(samples)


def test_scores_by_kind():
    gt = np.zeros((4, 4), bool)
    gt[:2] = True
    half = gt & (np.arange(4) < 2)
    scores = evaluate(
        [sample(gt, [gt, half], kinds=['colour', 'shape']), sample(gt, [~gt], kind='shape')],
        by_kind=True,
    )
    assert scores['colour/mIoU'] == 100
    assert scores['shape/mIoU'] == 25
    assert scores['shape/oIoU'] == pytest.approx(100 * 4 / 24)


def test_empty_masks_count_as_zero():
    nothing = np.zeros((4, 4), bool)
    scores = evaluate([sample(nothing, [nothing])])
    assert scores['mIoU'] == scores['oIoU'] == 0


def test_other_size_is_refused():
    with pytest.raises(ValueError, match='prediction is 5x4, but the true mask is 4x4'):
        evaluate([sample(np.zeros((4, 4), bool), np.zeros((1, 4, 5), bool))])
