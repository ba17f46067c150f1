import json
import logging
import re
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmdiffseg.evaluation import (
    area_ratio,
    boundary_f1,
    brier_score,
    expected_calibration_error,
    f1_score,
    iou,
    reliability_bins,
    weighted_coverage,
)
from mmdiffseg.registry import METRICS


def sample(pred, gt, prob=None, **metainfo):
    meta = dict(img_path='images/a.png') | metainfo
    result = SegDataSample(metainfo=meta)
    result.pred_sem_seg = PixelData(data=torch.as_tensor(pred, dtype=torch.long)[None])
    result.gt_sem_seg = PixelData(data=torch.as_tensor(gt, dtype=torch.long)[None])
    if prob is not None:
        result.seg_prob = PixelData(data=torch.as_tensor(prob)[None])
    return result


def evaluator(classes=('background', 'cell'), **options):
    result = Evaluator(METRICS.build(dict(type='mmdiffseg.BinaryMaskMetric', **options)))
    result.dataset_meta = dict(classes=classes)
    return result


def evaluate(samples, **options):
    metric = evaluator(**options)
    for one in samples:
        metric.process([one])
    return metric.evaluate(len(samples))


@pytest.fixture
def scenes():
    """Three (pred, gt, prob) of different sizes."""
    rng = np.random.default_rng(0)
    result = []
    for size in ((20, 30), (17, 9), (25, 25)):
        prob = rng.random(size, np.float32)
        result.append((prob > 0.5, prob + rng.normal(0, 0.3, size) > 0.6, prob))
    return result


@pytest.fixture
def warnings():
    logger, lines = MMLogger.get_current_instance(), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def test_averages_the_scores_of_the_images_in_percent(scenes):
    scores = evaluate([sample(*scene) for scene in scenes], weighted_coverage=True)
    functions = dict(
        mIoU=iou,
        F1=f1_score,
        WCov=area_ratio,
        BoundF=boundary_f1,
        WeightedCoverage=weighted_coverage,
    )
    expected = {
        name: 100 * np.mean([function(pred, gt) for pred, gt, _ in scenes])
        for name, function in functions.items()
    }
    bins = [reliability_bins(prob, gt) for _, gt, prob in scenes]
    expected['ECE'] = 100 * np.mean([expected_calibration_error(sums) for sums in bins])
    expected['Brier'] = 100 * np.mean([brier_score(prob, gt) for _, gt, prob in scenes])
    assert scores == pytest.approx(expected, abs=1e-10)
    assert list(scores) == list(expected)


def test_calibration_needs_probabilities(scenes):
    scores = evaluate([sample(pred, gt) for pred, gt, _ in scenes])
    assert list(scores) == ['mIoU', 'F1', 'WCov', 'BoundF']


def test_half_precision_probabilities(scenes):
    pred, gt, prob = scenes[0]
    half = torch.tensor(prob).bfloat16()
    scores = evaluate([sample(pred, gt, half)])
    assert scores['Brier'] == pytest.approx(100 * brier_score(half.float().numpy(), gt), abs=1e-10)


def test_probabilities_from_logits(scenes):
    pred, gt, prob = scenes[0]
    one = sample(pred, gt)
    one.seg_logits = PixelData(
        data=torch.tensor(prob)[None].logit() * torch.tensor([0, 1])[:, None, None]
    )
    scores = evaluate([one], from_logits=True)
    assert scores['Brier'] == pytest.approx(100 * brier_score(prob, gt), abs=1e-4)


def test_ignored_pixels_count_nowhere(scenes):
    pred, gt, prob = scenes[0]
    marked = gt.astype(int)
    marked[:, 10:] = 255
    other = np.where(marked == 255, ~pred, pred)
    scores = evaluate([sample(pred, marked, prob)], weighted_coverage=True)
    flipped = evaluate([sample(other, marked, 1 - prob * (marked == 255))], weighted_coverage=True)
    assert {k: v for k, v in scores.items() if k not in ('ECE', 'Brier')} == {
        k: v for k, v in flipped.items() if k not in ('ECE', 'Brier')
    }
    left = np.s_[:, :10]
    assert scores['mIoU'] == 100 * iou(pred[left], gt[left])
    assert scores['BoundF'] == pytest.approx(100 * boundary_f1(pred[left], gt[left]))
    assert scores['Brier'] == pytest.approx(100 * brier_score(prob[left], gt[left]))


def test_both_empty():
    empty = np.zeros((4, 5), int)
    scores = evaluate([sample(empty, empty)])
    assert scores == dict(mIoU=0, F1=0, WCov=100, BoundF=100)
    scores = evaluate([sample(empty, empty)], empty_score=1.0)
    assert scores == dict(mIoU=100, F1=100, WCov=100, BoundF=100)


def test_warns_if_there_is_nothing_to_find(warnings):
    evaluate([sample(np.ones((4, 5)), np.zeros((4, 5)))] * 2)
    assert [line for line in warnings if 'empty' in line] == [
        'BinaryMaskMetric: all 2 masks are empty: the scores of the foreground say nothing; check '
        "the dataset's foreground."
    ]


def test_masks_that_are_ignored_altogether(scenes, warnings):
    pred, gt, _ = scenes[0]
    nothing = sample(pred, np.full_like(pred, 255, dtype=int))
    assert evaluate([nothing, sample(pred, gt)])['mIoU'] == 100 * iou(pred, gt)
    assert 'BinaryMaskMetric: 1 of 2 masks are ignored altogether.' in warnings
    with pytest.raises(ValueError, match='all pixels of all 1 masks are ignored'):
        evaluate([nothing])


def test_more_classes_are_refused_before_anything_runs():
    sentence = (
        'BinaryMaskMetric scores one foreground class, the data set has 3 classes with the '
        "background: use mmseg's IoUMetric."
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        evaluator(classes=('background', 'cell', 'wall'))


def test_sizes_must_agree():
    with pytest.raises(ValueError, match='a: the prediction is 5x4 and the mask 6x4: '):
        evaluate([sample(np.zeros((4, 5)), np.zeros((4, 6)))])


def test_predictions_that_are_no_masks_are_refused():
    mask = np.array([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match='a: the prediction holds class 2.*num_classes=2'):
        evaluate([sample(mask * 2, mask)])
    with pytest.raises(ValueError, match='a: the probability is not finite'):
        evaluate([sample(mask, mask, mask * np.nan)])


def test_writes_masks_probabilities_and_reliability(scenes, tmp_path):
    out = tmp_path / 'out'
    names = ('images/a.png', 'images/b.tile.png', 'images/c.png')
    samples = [sample(*scene, img_path=name) for scene, name in zip(scenes, names, strict=True)]
    evaluate(samples, output_dir=str(out))
    for (pred, _, prob), name in zip(scenes, ('a', 'b.tile', 'c'), strict=True):
        np.testing.assert_array_equal(np.array(Image.open(out / f'masks/{name}.png')), pred)
        stored = np.array(Image.open(out / f'probabilities/{name}.png'))
        assert stored.dtype == np.uint16
        np.testing.assert_allclose(stored / 65535, prob, atol=1e-5)
    record = json.loads((out / 'reliability.json').read_text())
    total = sum(reliability_bins(prob, gt) for _, gt, prob in scenes)
    assert record['bins'] == 15
    assert record['pixels'] == total[0].tolist() and sum(record['pixels']) == 600 + 153 + 625
    assert record['foreground_pixels'] == total[2].tolist()
    assert Image.open(out / 'reliability.png').mode == 'RGB'


def test_sample_id_tells_instances_of_one_image_apart(scenes, tmp_path):
    pred, gt, _ = scenes[0]
    samples = [sample(pred, gt, sample_id=f'city/a_{i}') for i in range(2)]
    evaluate(samples, output_dir=str(tmp_path))
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png'))
    assert files == ['masks/city/a_0.png', 'masks/city/a_1.png']


def test_does_not_overwrite(scenes, tmp_path):
    pred, gt, _ = scenes[0]
    out = tmp_path / 'out'
    twins = [sample(pred, gt, img_path=f'{folder}/a.png') for folder in 'xy']
    with pytest.raises(ValueError, match='two predictions would be written to a.png: give every'):
        evaluate(twins, output_dir=str(out))
    evaluate(twins[:1], output_dir=str(out))  # the first run did not come to its end
    with pytest.raises(FileExistsError, match='out is not empty'):
        evaluate(twins[:1], output_dir=str(out))
    evaluate(twins)  # nothing is written


def test_a_further_evaluation_replaces_the_files(scenes, tmp_path):
    pred, gt, _ = scenes[0]
    metric = evaluator(output_dir=str(tmp_path))
    for prediction in (gt, pred):
        metric.process([sample(prediction, gt)])
        metric.evaluate(1)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / 'masks/a.png')), pred)


def test_processes_that_write_the_same_file(scenes, tmp_path):
    pred, gt, _ = scenes[0]
    metric = evaluator(output_dir=str(tmp_path))
    metric.process([sample(pred, gt)])

    def collect(results, size, *_, **__):  # a second process did an image of the same name
        return [*results, *results][:size]

    with patch('mmengine.evaluator.metric.collect_results', collect):
        assert metric.evaluate(1)  # the sampler only filled up
        metric.process([sample(pred, gt)])
        with pytest.raises(ValueError, match='two predictions would be written to a.png'):
            metric.evaluate(2)
