import numpy as np
import pytest

from mmdiffseg.evaluation import reliability_bins
from mmdiffseg.evaluation.distributions import (
    adaptive_calibration_error,
    mean_calibration_error,
    negative_log_likelihood,
    soft_dice,
)


def test_soft_dice_by_hand():
    samples, raters = np.array([0.2, 0.6, 1.0, 0.0]), np.array([0.0, 0.6, 0.4, 0.0])
    # above .1: 2 of (3, 2); .3: 2 of (2, 2); .5: 1 of (2, 1); .7 and .9: 0 of (1, 0)
    expected = (4 / 5 + 1 + 2 / 3) / 5
    assert soft_dice(samples, raters) == pytest.approx(expected, abs=1e-5)
    assert soft_dice(samples, raters, thresholds=[0.5]) == pytest.approx(2 / 3, abs=1e-5)
    assert soft_dice(0 * samples, 0 * raters) == 1


def test_the_two_measures_called_ace_differ():
    samples = np.array([0.0] * 9 + [1.0])
    raters = np.array([0.1] * 9 + [0.0])
    bins = reliability_bins(samples, raters)
    assert mean_calibration_error(bins) == pytest.approx((0.1 + 1) / 2)
    # two bins of five pixels: .1, and (4 * -.1 + 1) / 5
    assert adaptive_calibration_error(samples, raters, bins=2) == pytest.approx((0.1 + 0.12) / 2)


def test_likelihood_of_sure_and_wrong_pixels_is_finite():
    assert negative_log_likelihood(np.array([0.5]), np.array([0.3])) == pytest.approx(np.log(2))
    wrong = negative_log_likelihood(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert wrong == pytest.approx(-np.log(1e-6), rel=1e-4)
