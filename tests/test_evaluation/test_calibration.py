import numpy as np
import pytest

from mmdiffseg.evaluation import brier_score, expected_calibration_error, reliability_bins


def test_bins_are_left_closed_and_the_last_holds_one():
    prob = np.array([0.0, 0.1, 0.25, 0.5, 0.99, 1.0])
    pixels, summed, foreground = reliability_bins(prob, np.array([0, 1, 0, 1, 1, 1]), bins=4)
    assert pixels.tolist() == [2, 1, 1, 2]
    np.testing.assert_allclose(summed, [0.1, 0.25, 0.5, 1.99])
    assert foreground.tolist() == [1, 0, 1, 2]


def test_expected_calibration_error_weighs_bins_by_their_pixels():
    # 8 pixels said 0.25 of which 4 are foreground, 2 said 0.75 of which 1 is
    prob = np.repeat([0.25, 0.75], [8, 2])
    gt = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1, 0])
    error = expected_calibration_error(reliability_bins(prob, gt, bins=2))
    assert error == pytest.approx(0.8 * 0.25 + 0.2 * 0.25, abs=1e-15)


def test_calibrated_and_wrong():
    gt = np.array([[True, False], [True, False]])
    half = np.full((2, 2), 0.5, np.float32)
    assert expected_calibration_error(reliability_bins(half, gt)) == 0
    assert brier_score(half, gt) == 0.25
    assert expected_calibration_error(reliability_bins(~gt, gt)) == brier_score(~gt, gt) == 1
    assert brier_score(gt, gt) == 0


def test_sums_of_images_add_up():
    rng = np.random.default_rng(0)
    prob, gt = rng.random((2, 50, 40)), rng.integers(0, 2, (2, 50, 40))
    parts = sum(reliability_bins(p, g) for p, g in zip(prob, gt, strict=True))
    np.testing.assert_allclose(parts, reliability_bins(prob, gt))
    assert parts.shape == (3, 15)


@pytest.mark.parametrize('wrong', [-0.1, 1.01, np.nan])
def test_no_probability(wrong):
    with pytest.raises(ValueError, match=r'they must lie in \[0, 1\]'):
        reliability_bins(np.array([0.5, wrong]), np.array([0, 1]))
