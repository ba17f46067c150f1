import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from mmdiffseg.evaluation.conformal import (
    Promise,
    apply_guarantee,
    calibrate,
    check_guarantee,
    check_splits,
    choose,
    fingerprint,
    measured_risk,
    risk_curve,
    smallest_set,
)

BINARY = [
    Promise(kind, risk, source)
    for kind in ('threshold', 'margin')
    for risk in ('missed', 'false_positive', 'iou')
    for source in ('probability', 'samples')
]
SETS = [Promise('set'), Promise('set', source='samples')]


def make_image(rng, *, classes=2, size=24):
    """Class probabilities, labels drawn from a field of the same shape, and samples."""
    field = gaussian_filter(rng.normal(size=(classes, size, size)), (0, 3, 3)) * 12
    noise = gaussian_filter(rng.normal(size=(6, classes, size, size)), (0, 0, 2, 2)) * 8
    scores = np.exp(field)
    labels, *samples = (field + noise).argmax(axis=1).astype(np.uint8)
    return scores / scores.sum(axis=0), labels, np.stack(samples)


def make_curves(promise, count=60, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    images = [make_image(rng, classes=classes) for _ in range(count)]
    return np.stack([risk_curve(p, y, promise, samples=s) for p, y, s in images]), images


def guarantee(promise, value):
    return dict(kind=promise.kind, risk=promise.risk, source=promise.source, value=value)


@pytest.mark.parametrize('promise', [*BINARY, *SETS], ids=str)
def test_a_curve_is_the_risk_of_what_is_admitted(promise):
    rng = np.random.default_rng(1)
    probability, labels, samples = make_image(rng, classes=4 if promise.kind == 'set' else 2)
    labels[:3] = 255
    curve = risk_curve(probability, labels, promise, samples=samples)
    picks = range(0, len(promise.grid), 41)
    measured = []
    for index in picks:
        admitted = apply_guarantee(probability, guarantee(promise, promise.grid[index]), samples)
        measured.append(measured_risk(admitted, labels, promise.risk))
    if promise.risk == 'false_positive':
        # of the risks from here on, the curve is the largest
        assert (np.array(measured) <= curve[picks] + 1e-12).all()
        assert curve[0] == pytest.approx(max(measured), abs=0.02)
    else:
        np.testing.assert_allclose(curve[picks], measured, atol=1e-12)
    assert (np.diff(curve) <= 1e-12).all()
    assert curve[0] > 0


@pytest.mark.parametrize('promise', [p for p in BINARY if p.kind == 'threshold'] + SETS, ids=str)
def test_the_most_cautious_value_has_no_risk(promise):
    curves, _ = make_curves(promise, count=4, classes=3 if promise.kind == 'set' else 2)
    assert (curves[:, -1] == 0).all()


def test_the_bound_by_hand():
    # three values, nine images: (9 R + 1) / 10 is .55, .28 and .1
    curves = np.repeat([[0.5, 0.2, 0.0]], 9, axis=0)
    assert [choose(curves, alpha) for alpha in (0.6, 0.55, 0.54, 0.28, 0.1, 0.09)] == [
        0,
        0,
        1,
        1,
        2,
        None,
    ]


@pytest.mark.parametrize(('alpha', 'fewest'), [(0.05, 19), (0.1, 9), (0.2, 4), (0.5, 1)])
def test_smallest_set(alpha, fewest):
    assert smallest_set(alpha) == fewest
    curves = np.zeros((fewest, len(Promise('margin').grid)))
    assert calibrate(curves, Promise('margin'), alpha=alpha, model='m')['value'] == 0
    with pytest.raises(ValueError, match=f'{fewest - 1} calibration images.*{fewest} are the few'):
        calibrate(curves[1:], Promise('margin'), alpha=alpha, model='m')


@pytest.mark.parametrize('alpha', [0, 1, -0.1, 1.5, float('nan')])
def test_alpha_outside_the_interval_is_refused(alpha):
    with pytest.raises(ValueError, match='must lie between 0 and 1'):
        calibrate(np.zeros((99, 201)), Promise('margin'), alpha=alpha, model='m')


def test_a_margin_that_never_suffices_is_refused():
    curves = np.ones((30, 201))
    with pytest.raises(ValueError, match='no margin up to 200 promises a risk of 0.1'):
        calibrate(curves, Promise('margin'), alpha=0.1, model='m')


@pytest.mark.parametrize(
    ('promise', 'classes'), [(BINARY[0], 2), (BINARY[4], 2), (BINARY[3], 2), (Promise('set'), 4)]
)
@pytest.mark.parametrize('alpha', [0.05, 0.1, 0.2])
def test_random_splits_keep_the_promise(promise, classes, alpha):
    curves, _ = make_curves(promise, count=100, classes=classes)
    found = check_splits(curves, alpha, splits=200)
    # on average, but for the correction of 1 / (n + 1), the grid and chance
    assert alpha - 1 / 51 - 0.01 < found['mean_risk'] <= alpha + 0.003
    assert abs(found['above'] - found['expected_above']) < 0.15


def test_without_the_correction_the_promise_would_break():
    curves = (np.random.default_rng(0).random((40, 1)) < np.linspace(0.5, 0, 201)).astype(float)
    curves = np.minimum.accumulate(curves, axis=1)
    assert check_splits(curves, 0.1, splits=300)['mean_risk'] <= 0.1


def test_broken_exchangeability_breaks_the_promise():
    promise = Promise('threshold')
    curves, images = make_curves(promise, count=100)
    blurred = [np.stack([1 - p, p]) for p in (0.3 * image[0][1] for image in images)]
    shifted = np.stack(
        [risk_curve(p, image[1], promise) for p, image in zip(blurred, images, strict=True)]
    )
    assert check_splits(curves, 0.1, tested=shifted)['mean_risk'] > 0.2


def test_masks_of_a_guarantee():
    probability = np.array([[[0.9, 0.5, 0.1]], [[0.1, 0.5, 0.9]]])
    admit = {
        ('threshold', 'missed', 0.5): (None, [0, 1, 1]),
        ('threshold', 'false_positive', 0.5): ([0, 0, 1], None),
        ('threshold', 'iou', 0.9): ([0, 0, 0], [1, 1, 1]),
        ('margin', 'missed', 1): (None, [0, 1, 1]),
        ('margin', 'iou', 0): ([0, 0, 1], [0, 0, 1]),
    }
    for (kind, risk, value), masks in admit.items():
        found = apply_guarantee(probability, guarantee(Promise(kind, risk), value))
        for mask, expected in zip(found, masks, strict=True):
            assert (mask is None and expected is None) or mask[0].astype(int).tolist() == expected


def test_label_sets_hold_the_class_that_reaches_the_value():
    probability = np.array([0.5, 0.3, 0.2])[:, None, None]
    sizes = {0: 1, 0.5: 1, 0.51: 2, 0.8: 2, 0.81: 3, 1: 3}
    for value, size in sizes.items():
        admitted = apply_guarantee(probability, guarantee(Promise('set'), value))
        assert admitted[:, 0, 0].tolist() == [True] * size + [False] * (3 - size)


def test_an_empty_prediction_has_no_margin_that_finds_the_object():
    probability = np.stack([np.ones((5, 5)), np.zeros((5, 5))])
    labels = np.eye(5, dtype=np.uint8)
    assert (risk_curve(probability, labels, Promise('margin')) == 1).all()


def test_a_guarantee_fits_into_json_and_names_its_model():
    curves, _ = make_curves(Promise('threshold'))
    made = calibrate(curves, Promise('threshold'), alpha=0.1, model='aa', settings=dict(steps=3))
    assert json.loads(json.dumps(made)) == made
    check_guarantee(made, model='aa', settings=dict(steps=3))
    with pytest.raises(ValueError, match='calibrated for model aa and this is model bb'):
        check_guarantee(made, model='bb', settings=dict(steps=3))
    with pytest.raises(ValueError, match='steps=3 and the model now predicts with steps=1'):
        check_guarantee(made, model='aa', settings=dict(steps=1))


def test_a_fingerprint_tells_models_apart_and_survives_half_precision():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    name = fingerprint(model)
    assert len(name) == 16 and name == fingerprint(model)
    assert fingerprint(model.half().float()) == name
    model[0].bias.data[0] += 0.01
    assert fingerprint(model) != name


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (('radius',), "kind must be one of .* got 'radius'"),
        (('threshold', 'recall'), "risk must be one of .* got 'recall'"),
        (('threshold', 'iou', 'votes'), "source must be one of .* got 'votes'"),
        (('set', 'iou'), "a set of classes can promise risk='missed' only"),
    ],
)
def test_unknown_promises_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Promise(*arguments)


def test_what_does_not_fit_an_image_is_refused():
    image = np.full((3, 4, 4), 1 / 3)
    with pytest.raises(ValueError, match="is for two classes, and there are 3: use kind='set'"):
        apply_guarantee(image, guarantee(Promise('threshold'), 0.5))
    with pytest.raises(ValueError, match='fitted on samples and the model drew none'):
        apply_guarantee(image, guarantee(Promise('set', source='samples'), 0.5))
