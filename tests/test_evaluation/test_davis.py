"""DAVIS' scores, against recorded ones of its toolkit's rules."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.evaluation import DavisJFMetric, contour_accuracy, region_similarity

RECORDED = np.load(Path(__file__).parents[1] / 'data/in_context_metrics.npz')
FRAMES = range(7)


def frame(i):
    """Prediction, truth, pixels that count, and the recorded J and F."""
    shape = RECORDED[f'davis{i}_shape']
    pred, gt, void = (
        np.unpackbits(RECORDED[f'davis{i}_{key}'], count=shape.prod()).reshape(shape).astype(bool)
        for key in ('pred', 'gt', 'void')
    )
    return pred, gt, ~void, RECORDED[f'davis{i}_JF']


@pytest.mark.parametrize('i', FRAMES)
def test_scores_of_a_frame_are_the_recorded_ones(i):
    pred, gt, valid, scores = frame(i)
    assert region_similarity(pred, gt, valid=valid) == pytest.approx(scores[0], abs=1e-6)
    assert contour_accuracy(pred, gt, valid=valid) == pytest.approx(scores[1], abs=1e-6)
    if valid.all():
        assert contour_accuracy(pred, gt) == pytest.approx(scores[1], abs=1e-6)


def sample(i, video, number, num_frames):
    pred, gt, valid, _ = frame(i)
    gt = np.where(valid, gt, 255).astype(np.int64)
    maps = {'pred_sem_seg': pred.astype(np.int64), 'gt_sem_seg': gt}
    return dict(
        {key: dict(data=torch.from_numpy(value)[None]) for key, value in maps.items()},
        video=video,
        frame=number,
        num_frames=num_frames,
        img_path=f'{video}/{number}.jpg',
    )


def test_frames_are_averaged_by_video_without_the_first_and_the_last():
    samples = [
        *(sample(i, 'bear', number, 5) for i, number in ((3, 0), (0, 1), (1, 2), (2, 3), (5, 4))),
        sample(6, 'swan', 1, 3),
        sample(4, 'swan', 2, 3),
    ]
    metric = DavisJFMetric()
    metric.process({}, samples)
    scores = metric.evaluate(len(samples))
    bear = np.mean([frame(i)[3] for i in (0, 1, 2)], axis=0)
    j, f = 100 * (bear + frame(6)[3]) / 2
    assert scores == pytest.approx({'J': j, 'F': f, 'J&F': (j + f) / 2}, abs=1e-4)


def test_nothing_to_score_is_said():
    metric = DavisJFMetric()
    metric.process({}, [sample(0, 'bear', 1, 2)])
    with pytest.raises(ValueError, match='nothing to score'):
        metric.evaluate(1)
