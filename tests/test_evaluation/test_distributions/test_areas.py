import math

import numpy as np
import pytest

from mmdiffseg.evaluation.distributions import area_crps, area_energy


def test_scores_by_hand():
    samples, raters = np.array([0.1, 0.5]), np.array([0.2])
    assert area_crps(samples, raters) == pytest.approx((0.1 + 0.3) / 2 - 0.2 / 2)
    assert area_crps(samples, raters, fair=True) == pytest.approx((0.1 + 0.3) / 2 - 0.4 / 2)
    assert area_energy(samples, raters) == pytest.approx(0.4 - 0.2)
    assert math.isnan(area_crps(samples[:1], raters, fair=True))
    assert area_crps(samples[:1], raters) == pytest.approx(0.1)


def test_weights_count_raters_as_often_as_they_occur():
    samples = np.array([0.1, 0.5, 0.9])
    twice, weights = np.array([0.2, 0.2, 0.8]), np.array([2 / 3, 1 / 3])
    for score in (area_crps, area_energy):
        assert score(samples, twice[1:], weights=weights) == pytest.approx(score(samples, twice))


def test_the_energy_sees_what_the_mean_area_hides():
    raters = np.array([0.0, 1.0])
    assert area_energy(raters, raters) == 0
    assert area_energy(np.array([0.5, 0.5]), raters) == pytest.approx(0.5)
