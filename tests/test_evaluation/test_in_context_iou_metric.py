"""Metrics of episodes, against recorded scores of the usual few-shot evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmdiffseg.evaluation import InContextIoUMetric, binary_counts, class_iou, fb_iou, mean_iou

RECORDED = np.load(Path(__file__).parents[1] / 'data/in_context_metrics.npz')
FOLDS = [f'{name}_fold{i}' for name in ('pascal', 'coco') for i in range(4)]


def episodes(fold):
    """(class, prediction, truth with 255 where ignored) of each recorded episode."""
    classes = RECORDED[f'{fold}_episode_class'].tolist()
    size = (len(classes), 24, 30)
    gt, pred, ignore = (
        np.unpackbits(RECORDED[f'{fold}_{key}'], count=np.prod(size)).reshape(size)
        for key in ('gt', 'pred', 'ignore')
    )
    return list(zip(classes, pred, np.where(ignore, 255, gt), strict=True))


def sample(class_id, pred, gt, *, name='q', fold=None, cells=(4,)):
    as_map = {'pred_sem_seg': pred, 'gt_sem_seg': gt}
    return dict(
        {key: dict(data=torch.from_numpy(value)[None]) for key, value in as_map.items()},
        sample_id=name,
        img_path=f'images/{name}.jpg',
        prompt_paths=['images/p.jpg'],
        prompt_cells=list(cells),
        class_id=class_id,
        class_name=f'class {class_id}',
        fold=fold,
        seed=0,
    )


def evaluate(samples, concepts, **options):
    metric = InContextIoUMetric(**options)
    metric.dataset_meta = dict(concepts={c: f'class {c}' for c in concepts})
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('fold', FOLDS)
def test_counts_and_scores_are_the_recorded_ones(fold):
    counts = [(c, binary_counts(pred, gt)) for c, pred, gt in episodes(fold)]
    assert np.array_equal([count for _, count in counts], RECORDED[f'{fold}_counts'])
    miou = mean_iou(class_iou(counts), RECORDED[f'{fold}_classes'].tolist())
    # recorded in percent and float32
    scores = miou, fb_iou(count for _, count in counts)
    assert scores == pytest.approx(RECORDED[f'{fold}_scores'] / 100, abs=1e-6)


@pytest.mark.parametrize('fold', ['pascal_fold2', 'coco_fold1'])
def test_metric_gives_the_recorded_scores(fold):
    samples = [sample(c, pred, gt) for c, pred, gt in episodes(fold)]
    scores = evaluate(samples, RECORDED[f'{fold}_classes'].tolist())
    assert list(scores.values()) == pytest.approx(RECORDED[f'{fold}_scores'], rel=1e-6)


ONE, NONE = np.array([[1, 1, 0, 0]]), np.array([[0, 0, 0, 0]])
HALF = np.array([[1, 0, 0, 0]])


def test_a_class_without_episodes_counts_as_0_unless_only_the_seen_count():
    samples = [sample(3, HALF, ONE), sample(4, ONE, ONE)]
    assert evaluate(samples, [3, 4, 5])['mIoU'] == pytest.approx(50)
    assert evaluate(samples, [3, 4, 5], over='seen')['mIoU'] == pytest.approx(75)


def test_pixels_of_a_class_are_pooled_over_its_episodes():
    large = np.ones((1, 8), int)
    samples = [sample(1, HALF, ONE), sample(1, large, large)]
    assert evaluate(samples, [1])['mIoU'] == pytest.approx(100 * 9 / 10)


def test_folds_are_scored_apart_where_there_are_several():
    samples = [sample(1, HALF, ONE, fold=0), sample(2, ONE, ONE, fold=1)]
    scores = evaluate(samples, [1, 2])
    assert scores['fold0/mIoU'] == 50 and scores['fold1/mIoU'] == 100
    assert scores['folds/mIoU'] == 75
    assert scores['fold1/FB-IoU'] == 100
    assert not any('fold' in name for name in evaluate(samples[:1], [1]))


def test_slices_by_the_cells_of_the_prompts():
    samples = [
        sample(1, NONE, ONE, cells=(0,)),
        sample(1, HALF, ONE, cells=(8, 7)),
        sample(1, ONE, ONE, cells=(8, 8)),
    ]
    scores = evaluate(samples, [1], cell_slices=(1, 16))
    names = ('cells0+/mIoU', 'cells1+/mIoU', 'cells16+/mIoU')
    assert [scores[name] for name in names] == [0, 50, 100]


def test_writes_masks_and_the_account_of_the_episodes(tmp_path):
    out = tmp_path / 'out'
    evaluate([sample(1, HALF, ONE, name='a_1_b')], [1], output_dir=str(out))
    assert np.array_equal(Image.open(out / 'masks/a_1_b.png'), HALF)
    (record,) = json.loads((out / 'episodes.json').read_text())
    assert record['intersection'] == [2, 1] and record['union'] == [3, 2]
    assert record['prompt_cells'] == [4] and record['query'] == 'images/a_1_b.jpg'
    with pytest.raises(FileExistsError, match='not empty'):
        InContextIoUMetric(output_dir=str(out))


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match='prediction is 4x1 and the mask 8x1'):
        evaluate([sample(1, ONE, np.ones((1, 8), int))], [1])
