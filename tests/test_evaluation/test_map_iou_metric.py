from pathlib import Path

import numpy as np
import pytest
import torch

from mmdiffseg.evaluation import MapIoUMetric, map_counts, map_iou

RECORDED = torch.load(Path(__file__).parents[1] / 'data/ddp_bev_scores.pt')
CLASSES = ('drivable_area', 'ped_crossing', 'walkway', 'stop_line', 'carpark_area', 'divider')


def sample(prob, label):
    return dict(map_prob=dict(data=prob), gt_map=dict(data=label))


def build(classes=CLASSES, **options):
    metric = MapIoUMetric(**options)
    metric.dataset_meta = dict(classes=classes)
    return metric


SAMPLES = [sample(*pair) for pair in zip(RECORDED['prob'], RECORDED['label'], strict=True)]


def test_scores_equal_the_recorded_ones():
    metric = build()
    metric.process({}, SAMPLES)
    scores = metric.evaluate(len(SAMPLES))
    best = {name: value for name, value in RECORDED['metrics'].items() if name.endswith('max')}
    assert scores == best


def test_every_threshold_equals_the_recorded_one():
    iou = map_iou(sum(map_counts(s['map_prob']['data'], s['gt_map']['data']) for s in SAMPLES))
    for k, name in enumerate(CLASSES):
        for i, threshold in enumerate(MapIoUMetric().thresholds):
            assert iou[i, k].item() == RECORDED['metrics'][f'map/{name}/iou@{threshold:.2f}']


def test_processes_and_batches_make_no_difference():
    whole, ranks = build(), [build(), build()]
    whole.process({}, SAMPLES)
    ranks[0].process({}, SAMPLES[:1])
    ranks[0].process({}, SAMPLES[2:])
    ranks[1].process({}, SAMPLES[1:2])
    ranks[1].process({}, SAMPLES[:1])  # the sampler repeats one to fill up the second process
    # as mmengine collects them: in turns, cut off at the size of the data set
    (a, c), (b, repeated) = (rank.results for rank in ranks)
    collected = [a, b, c, repeated][: len(SAMPLES)]
    assert build().compute_metrics(collected) == whole.compute_metrics(whole.results)


def test_by_hand():
    prob = torch.tensor([[[0.2, 0.4, 0.6, 0.8]], [[0.0, 0.0, 0.0, 0.0]]])
    gt = torch.tensor([[[0, 1, 1, 1]], [[0, 0, 0, 0]]])
    metric = build(('road', 'nothing'), thresholds=(0.1, 0.3, 0.5, 0.8))
    metric.process({}, [sample(prob, gt)])
    iou = map_iou(metric.results[0])
    assert iou[:, 0].tolist() == pytest.approx([3 / 4, 1, 2 / 3, 1 / 3])
    scores = metric.evaluate(1)
    assert scores == {
        'map/road/iou@max': pytest.approx(1),
        'map/nothing/iou@max': 0,
        'map/mean/iou@max': pytest.approx(0.5),
    }


def test_probabilities_are_written_on_request(tmp_path):
    metric = build(output_dir=str(tmp_path / 'out'))
    metric.process({}, [dict(SAMPLES[0], img_path='/data/a.npy')])
    with np.load(tmp_path / 'out/a.npz') as arrays:
        assert np.array_equal(arrays['prob'], SAMPLES[0]['map_prob']['data'].half().numpy())
    metric.evaluate(1)
    with pytest.raises(FileExistsError, match='out is not empty: choose another'):
        build(output_dir=str(tmp_path / 'out'))


def test_bad_input():
    with pytest.raises(ValueError, match=r'between 0 and 1, got \(0.5, 1.5\)'):
        MapIoUMetric(thresholds=(0.5, 1.5))
    with pytest.raises(ValueError, match=r'shape \(6, 30, 30\) .* truth \(6, 15, 30\)'):
        build().process({}, [sample(RECORDED['prob'][0], RECORDED['label'][0][:, ::2])])
