import json

import numpy as np
import pytest

from mmdiffseg.evaluation.trust.report import direction, make_record, verdict
from mmdiffseg.visualization.trust_page import trust_page


@pytest.fixture(scope='module')
def record(make_account):
    accounts = dict(
        sharp=make_account(12, sharpness=1.4),
        blunt=make_account(12),
        sampled=make_account(12, samples=3, uncertainty=True),
    )
    return make_record(accounts, baseline='blunt', resamples=30)


def test_a_record_fits_into_json(record):
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record['images'] == 12 and list(record['differences']) == ['sharp', 'sampled']


def test_differences_are_those_of_the_measures(record):
    for name, differences in record['differences'].items():
        for measure, difference in differences.items():
            ours, theirs = (
                record['models'][model]['measures'][measure]['value'] for model in (name, 'blunt')
            )
            assert difference['value'] == pytest.approx(ours - theirs, abs=1e-12)


def test_what_a_model_offers_itself_comes_first(record):
    plain, sampled = (record['models'][name]['measures'] for name in ('blunt', 'sampled'))
    assert plain['AUSE/own'] == plain['AUSE/entropy']
    assert sampled['AUSE/own'] == sampled['AUSE/model']
    assert sampled['image_AURC/own'] == sampled['image_AURC/samples']


@pytest.mark.parametrize(
    ('measure', 'low', 'high', 'said'),
    [
        ('ECE', -0.2, -0.1, 'better'),
        ('ECE', 0.1, 0.2, 'worse'),
        ('Dice', 0.1, 0.2, 'better'),
        ('AUROC/own', -0.2, -0.1, 'worse'),
        ('ECE', -0.1, 0.2, 'no difference can be told'),
        ('promise/outer', 0.1, 0.2, 'different'),
        ('Dice', None, None, 'no difference can be told'),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(measure, low, high, said):
    assert verdict(dict(value=0, low=low, high=high), measure) == said


def test_directions():
    directions = dict(NLL=-1, mIoU=1, Brier_resolution=1, Brier_reliability=-1)
    directions |= {'image_AURC/samples': -1, 'image_AUROC/samples': 1, 'promise/inner': 0}
    assert {name: direction(name) for name in directions} == directions


def test_the_page_needs_no_other_file(record):
    panels = {'sharp': {'the images it is surest of': [np.zeros((8, 8, 3), np.uint8)]}}
    curve = [{'Dice': 0.9 - s / 10, 'ECE': s / 10} for s in range(6)]
    rows = [row | {'AUSE/own': None, 'image_AUROC/own': 0.5} for row in curve]
    record = record | dict(corruptions=dict(blur=dict(sharp=rows)))
    page = trust_page(record, panels)
    assert 'http' not in page and 'src="data:image/png;base64,' in page
    for sentence in ('sharp less blunt', 'surest of', 'When pictures get worse', '12 images'):
        assert sentence in page
    for model in record['models'].values():
        assert f'{model["measures"]["ECE"]["value"]:.4f}' in page
