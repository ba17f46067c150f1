import numpy as np
import pytest

from mmdiffseg.evaluation.distributions import (
    coherence,
    label_distances,
    merge_equal_maps,
    mode_census,
    total_variation,
)


def test_equal_maps_become_one_in_the_order_of_the_first():
    maps = np.array([[2, 2], [0, 1], [2, 2], [0, 0]])
    merged, weights, mode = merge_equal_maps(maps, np.array([0.1, 0.2, 0.3, 0.4]))
    assert merged.tolist() == [[2, 2], [0, 1], [0, 0]]
    np.testing.assert_allclose(weights, [0.4, 0.2, 0.4])
    assert mode.tolist() == [0, 1, 0, 2]


def test_census_of_recorded_scene(shapes):
    maps, samples = shapes['maps'].numpy(), shapes['samples'].numpy()
    across = label_distances(maps, samples, classes=range(1, 7))
    assert across.argmin(axis=0).tolist() == shapes['nearest_mode'].tolist()
    np.testing.assert_allclose(across.min(axis=0), shapes['nearest_distance'], atol=1e-6)
    census = mode_census(across)
    expected = np.bincount(shapes['nearest_mode'], minlength=len(maps)) / len(samples)
    np.testing.assert_allclose(census, expected)


def test_census_equals_that_of_probabilistic_unet(flips):
    census = mode_census(np.nanmean(flips['d_YS'].numpy(), axis=-1))
    counts = census * len(flips['samples'])
    assert counts.tolist() == flips['mode_counts'].tolist()


def test_total_variation():
    assert total_variation([1, 0, 0], [0.5, 0.25, 0.25]) == 0.5
    assert total_variation([0.5, 0.5], [0.5, 0.5]) == 0


def test_coherence_counts_samples_near_any_rater():
    across = np.array([[0.0, 0.04, 0.5, 0.06], [0.9, 0.5, 0.2, 0.05]])
    result = coherence(across)
    assert result['coherence'] == 0.5
    assert result['nearest'] == pytest.approx((0 + 0.04 + 0.2 + 0.05) / 4)
    assert coherence(across, threshold=0.3)['coherence'] == 1
