from dataclasses import replace

import numpy as np
import pytest

from mmdiffseg.evaluation.conformal import Promise, calibrate, risk_curve
from mmdiffseg.evaluation.trust.account import BLOCKS, Account, reservoir_of
from mmdiffseg.evaluation.trust.bootstrap import interval, resample
from mmdiffseg.evaluation.trust.temperature import fit_temperature
from mmdiffseg.guarantee import picture_code


@pytest.mark.parametrize('classes', [2, 5])
def test_measures_of_every_uncertainty_there_is(make_account, classes):
    plain = make_account(classes=classes).measures()
    assert 'AURC/entropy' in plain and 'AURC/model' not in plain
    full = make_account(classes=classes, samples=4, uncertainty=True).measures()
    for name in ('entropy', 'doubt', 'model', 'votes'):
        assert {f'AURC/{name}', f'AUSE/{name}', f'image_AURC/{name}/boundary'} <= full.keys()
    assert 'image_AURC/samples' in full
    # the model's own was drawn at random and ranks nothing
    assert full['AUROC/model'] == pytest.approx(0.5, abs=0.03)
    assert full['AUROC/entropy'] > 0.6
    assert all(np.isfinite(value) for value in full.values())


def test_pixels_do_not_grow_with_the_number_of_images(make_account):
    few, many = make_account(3), make_account(BLOCKS + 1, size=4)
    sizes = [{k: v.shape for k, v in account._pixels.items()} for account in (few, many)]
    assert sizes[0] == sizes[1]
    assert len(many.surest) == len(many.least_sure) == 3
    assert many.surest[0][2].probability is None


def test_blocks_add_up_to_all_images(make_account):
    account = make_account(BLOCKS + 20, size=4)
    everything = account.measures(np.ones(BLOCKS))
    for name, value in account.measures().items():
        assert everything[name] == pytest.approx(value, nan_ok=True)


def test_intervals_hold_the_value_and_pairs_are_tighter(make_account):
    sharp, blunt = make_account(30, sharpness=1.3), make_account(30)
    found = resample(dict(sharp=sharp, blunt=blunt), resamples=100)
    for name, account in (('sharp', sharp), ('blunt', blunt)):
        low, high = interval(found[name]['NLL'])
        assert low < account.measures()['NLL'] < high
    low, high = interval(found['sharp']['NLL'] - found['blunt']['NLL'])
    alone = np.diff(interval(found['sharp']['NLL'])) + np.diff(interval(found['blunt']['NLL']))
    assert high - low < alone / 2


def test_differences_need_the_same_images(make_account):
    with pytest.raises(ValueError, match='b and a are measured on different images'):
        resample(dict(a=make_account(4), b=make_account(5)))


def test_temperature_undoes_sharpness(make_image):
    found = fit_temperature(*kept(reservoir_of((make_image(n) for n in range(20)), 2)))
    sharp = reservoir_of((make_image(n, sharpness=2) for n in range(20)), 2)
    assert fit_temperature(*kept(sharp)) == pytest.approx(2 * found, rel=1e-3)
    before, after = Account(dict(classes='ab')), Account(dict(classes='ab'), temperature=2 * found)
    for number in range(20):
        for account in (before, after):
            account.add(make_image(number, sharpness=2))
    assert after.measures()['NLL'] < before.measures()['NLL']
    assert after.measures()['ECE'] < before.measures()['ECE']
    assert after.measures()['accuracy'] == before.measures()['accuracy']


def kept(reservoir):
    return reservoir.log_probs, reservoir.labels


def test_raters_count_by_their_weights(make_image, make_account):
    image = make_image(0)
    truth = image.raters[0]
    account = Account(dict(classes='ab'))
    raters = np.stack([truth, 1 - truth])
    account.add(replace(image, raters=raters, weights=np.array([0.8, 0.2])))
    alone = make_account(1).measures()['accuracy']
    assert account.measures()['accuracy'] == pytest.approx(0.8 * alone + 0.2 * (1 - alone))


def test_a_guarantee_is_measured_on_new_images(make_image):
    promise = Promise('threshold', 'iou')
    images = [make_image(number) for number in range(100, 140)]
    curves = np.stack([risk_curve(i.probability, i.raters[0], promise) for i in images])
    known = [picture_code(images[0].path)]
    made = calibrate(curves, promise, alpha=0.1, model='m', calibrated_on=dict(pictures=known))
    account = Account(dict(classes='ab'), guarantee=made)
    account.add(images[0])
    assert np.isnan(account.measures()['promise/risk'])
    for number in range(40):
        account.add(make_image(number))
    found = account.measures()
    assert 0.05 < found['promise/risk'] < 0.13
    assert found['promise/inner'] < 0.5 < found['promise/outer']
    assert np.isnan(account.columns()['promise/risk']).sum() == 1


def test_ignored_pixels_and_images_count_nowhere(make_image):
    half, none = make_image(0), make_image(1)
    half.raters[..., :8] = 255
    none.raters[:] = 255
    account = Account(dict(classes='ab'))
    account.add(half), account.add(none)
    assert account.pixel_sums()['totals'][0] == 16 * 8
    assert account.left_out == 1 and account.names == ['000.png']


@pytest.mark.parametrize(
    ('factor', 'sentence'),
    [
        (0.8, 'data/000.png: the class probabilities of a pixel sum to 0.8000 instead of 1'),
        (np.nan, 'data/000.png: the probabilities are not finite'),
        (-1, 'data/000.png: the probabilities range from -'),
    ],
)
def test_bad_probabilities_are_refused_by_name(make_image, factor, sentence):
    image = make_image(0)
    with pytest.raises(ValueError, match=sentence):
        Account(dict(classes='ab')).add(
            replace(image, probability=np.float32(factor) * image.probability)
        )
