import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmdiffseg.evaluation import DepthMetric, crop_mask, depth_errors

RECORDED = torch.load(Path(__file__).parents[1] / 'data/ddp_depth.pt')
NAMES = dict(a1='d1', a2='d2', a3='d3', log_10='log10')


def sample(pred, gt, name='a'):
    maps = dict(pred_depth_map=pred, gt_depth_map=gt)
    return dict(
        img_path=f'/data/{name}.jpg',
        **{key: dict(data=torch.as_tensor(value)[None].float()) for key, value in maps.items()},
    )


def evaluate(metric, *samples):
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('max_depth', [5, 10])
def test_errors_equal_the_recorded_ones(max_depth):
    found = evaluate(
        DepthMetric(max_depth=max_depth), sample(RECORDED['pred'][0, 0], RECORDED['gt'][0, 0])
    )
    recorded = RECORDED['metrics'][f'max{max_depth}']
    assert len(recorded) == 9
    expected = {NAMES.get(name, name): value for name, value in recorded.items()}
    assert found == pytest.approx(expected, rel=1e-5)


def test_errors_by_hand():
    errors = depth_errors(np.array([1.0, 2.2, 9.0]), np.array([1.0, 2.0, 4.0]))
    assert errors['d1'] == errors['d2'] == pytest.approx(2 / 3)
    assert errors['abs_rel'] == pytest.approx((0 + 0.1 + 1.25) / 3)
    assert errors['sq_rel'] == pytest.approx((0 + 0.02 + 6.25) / 3)
    assert errors['rmse'] == pytest.approx(math.sqrt((0.04 + 25) / 3))
    e = [0, math.log(1.1), math.log(2.25)]
    mean, square = sum(e) / 3, sum(x * x for x in e) / 3
    assert errors['rmse_log'] == pytest.approx(math.sqrt(square))
    assert errors['log10'] == pytest.approx(mean / math.log(10))
    assert errors['silog'] == pytest.approx(100 * math.sqrt(square - mean**2))


@pytest.mark.parametrize(
    'crop, shape, rows, cols',
    [
        ('garg', (352, 1216), (143, 349), (43, 1172)),
        ('eigen', (352, 1216), (117, 321), (43, 1172)),
        ('nyu', (480, 640), (45, 471), (41, 601)),
        (None, (7, 5), (0, 7), (0, 5)),
    ],
)
def test_crops(crop, shape, rows, cols):
    mask = crop_mask(shape, crop)
    assert mask.sum() == (rows[1] - rows[0]) * (cols[1] - cols[0])
    assert mask[rows[0], cols[0]] and mask[rows[1] - 1, cols[1] - 1]


def test_only_valid_pixels_inside_the_crop_count():
    gt = np.full((480, 640), 2.0)
    gt[100:200] = 0
    gt[200:300] = 30
    pred = np.full_like(gt, 2.0)
    pred[:45] = pred[100:300] = 7
    assert evaluate(DepthMetric(max_depth=10, crop='nyu'), sample(pred, gt))['abs_rel'] == 0
    assert evaluate(DepthMetric(max_depth=10), sample(pred, gt))['abs_rel'] > 0


def test_images_count_alike_whatever_their_pixels():
    dense = sample(np.full((4, 4), 3.0), np.full((4, 4), 2.0))
    gt = np.zeros((4, 4))
    unmeasured = sample(np.ones((4, 4)), gt.copy())
    gt[0, 0] = 2
    sparse = sample(np.full((4, 4), 2.0), gt)
    found = evaluate(DepthMetric(max_depth=10), dense, sparse, unmeasured)
    assert found['abs_rel'] == pytest.approx(0.25)


def test_a_prediction_of_nan_is_not_left_out():
    good = sample(np.full((2, 2), 3.0), np.full((2, 2), 2.0))
    spoilt = sample(np.full((2, 2), np.nan), np.full((2, 2), 2.0))
    assert math.isnan(evaluate(DepthMetric(max_depth=10), good, spoilt)['abs_rel'])


def test_the_ends_of_the_range_do_not_count():
    gt = np.array([[1.0, 2.0, 10.0]])
    errors = evaluate(DepthMetric(min_depth=1, max_depth=10), sample(np.full((1, 3), 2.0), gt))
    assert errors['abs_rel'] == 0


def test_clipped_depths():
    found = evaluate(
        DepthMetric(max_depth=10, clip_depth=8), sample(np.full((2, 2), 30.0), np.full((2, 2), 9.5))
    )
    assert found['rmse'] == 0


def test_predictions_are_written_in_16_bits(tmp_path):
    options = dict(max_depth=80, output_dir=str(tmp_path / 'out'), depth_scale_factor=256)
    named = sample(np.full((2, 3), 1.5), np.ones((2, 3))) | dict(sample_id='drive_a')
    evaluate(DepthMetric(**options), named)
    values = np.asarray(Image.open(tmp_path / 'out/drive_a.png'))
    assert values.dtype == np.uint16 and (values == 384).all()
    with pytest.raises(FileExistsError, match='is not empty'):
        DepthMetric(**options)


def test_bad_input():
    with pytest.raises(ValueError, match="crop must be one of .* got 'kb'"):
        DepthMetric(max_depth=10, crop='kb')
    with pytest.raises(ValueError, match='a: the prediction is 3x2 and the depth map 4x2'):
        evaluate(DepthMetric(max_depth=10), sample(np.ones((2, 3)), np.ones((2, 4))))
    with pytest.raises(ValueError, match='no pixel of all 1 depth maps lies between 0.001 and 10'):
        evaluate(DepthMetric(max_depth=10), sample(np.ones((2, 3)), np.zeros((2, 3))))
