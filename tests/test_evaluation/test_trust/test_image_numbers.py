import numpy as np
import pytest

from mmdiffseg.evaluation.trust import (
    area_numbers,
    foreground,
    image_measures,
    map_to_numbers,
    mean_dice,
    pairwise_disagreement,
)


def test_ways_from_a_map_to_a_number():
    uncertainty = np.zeros((20, 20))
    uncertainty[:, 9:11] = 0.8
    labels = np.repeat([[0] * 10 + [1] * 10], 20, axis=0)
    numbers = map_to_numbers(uncertainty, labels, np.ones((20, 20), bool))
    assert numbers['mean'] == pytest.approx(0.08)
    assert numbers['top'] == pytest.approx(0.8)
    # the boundary lies at column 9, with two columns on either side
    assert numbers['boundary'] == pytest.approx(0.8 * 2 / 5)
    even = map_to_numbers(uncertainty, np.zeros((20, 20), int), np.ones((20, 20), bool))
    assert even['boundary'] == 0


def test_pixels_that_do_not_count_are_in_no_number():
    uncertainty, valid = np.zeros((8, 8)), np.ones((8, 8), bool)
    uncertainty[0], valid[0] = 1, False
    labels = np.eye(8, dtype=int)
    assert set(map_to_numbers(uncertainty, labels, valid).values()) == {0}


def test_two_classes_are_scored_by_the_foreground():
    assert list(foreground(2)) == [1] and list(foreground(3)) == [0, 1, 2]


def test_dice_is_a_mean_over_the_classes_that_occur():
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert mean_dice(a, b, [1]) == pytest.approx(4 / 5)
    assert mean_dice(a, b, [0, 1, 2]) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert mean_dice(a, b, [2]) == 1


def test_samples_disagree_in_pairs():
    samples = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]])
    assert pairwise_disagreement(samples, [1]) == pytest.approx(2 / 3)


def test_areas_with_and_without_samples():
    predicted, truth = np.array([1, 1, 0, 0]), np.array([[1, 0, 0, 0]])
    probs = np.array([[0.2, 0.4, 0.6, 0.8], [0.8, 0.6, 0.4, 0.2]])
    options = dict(probs=probs, classes=[1])
    alone = area_numbers(predicted, truth, np.ones(1), samples=None, **options)
    assert alone['area_error'] == pytest.approx(0.25)
    assert alone['area_doubt'] == pytest.approx(0)
    assert alone['area_CRPS'] == pytest.approx(0.25)
    samples = np.array([[1, 0, 0, 0], [1, 1, 1, 0]])
    drawn = area_numbers(predicted, truth, np.ones(1), samples=samples, **options)
    assert drawn['area_doubt'] == pytest.approx(0.25)
    # E|a - y| - E|a - a'| / 2 for areas of 1/4 and 3/4
    assert drawn['area_CRPS'] == pytest.approx(0.25 - 0.125)


def test_failures_are_the_quarter_with_the_lowest_dice():
    risk = np.array([0.1, 0.2, 0.3, 0.9, 0.1, 0.1, 0.2, 0.8])
    columns = {
        'risk': risk,
        'area_error': risk,
        'area_doubt': risk**2,
        'area_CRPS': risk,
        'doubt/good': risk,
        'doubt/bad': -risk,
    }
    found = image_measures(columns)
    assert found['Dice'] == pytest.approx(1 - risk.mean())
    assert found['image_AUROC/good'] == 1 and found['image_AUROC/bad'] == 0
    assert found['image_AURC/good'] < found['image_AURC/bad']
    assert found['area_correlation'] == pytest.approx(1)
    assert np.isnan(image_measures(columns | {'area_doubt': 0 * risk})['area_correlation'])
