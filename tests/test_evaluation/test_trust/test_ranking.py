import math

import numpy as np
import pytest

from mmdiffseg.evaluation.trust import aurc, auroc, ause, group_things, risk_coverage


def trapezoids(errors):
    """Of the risk over coverage, for errors in one order."""
    risk = np.cumsum(errors) / np.arange(1, len(errors) + 1)
    return np.trapezoid(risk) / (len(errors) - 1)


def test_area_of_an_order_without_ties():
    errors = np.array([0, 1, 0, 0.5, 1])
    groups = group_things(np.arange(5.0), errors)
    assert aurc(*groups) == pytest.approx(trapezoids(errors), abs=1e-12)
    coverage, risk = risk_coverage(*groups)
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.6, 0.8, 1])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1.5 / 4, 2.5 / 5])


def test_area_under_ties_is_the_mean_over_their_orders():
    rng = np.random.default_rng(0)
    uncertainty = np.array([0.1, 0.2, 0.2, 0.2, 0.3, 0.3])
    errors = np.array([0, 1, 0, 0, 1, 0.0])
    areas = []
    for _ in range(4000):
        order = np.lexsort([rng.random(6), uncertainty])
        areas.append(trapezoids(errors[order]))
    found = aurc(*group_things(uncertainty, errors))
    assert found == pytest.approx(np.mean(areas), abs=4 * np.std(areas) / math.sqrt(4000))


def test_sparsification_error_is_zero_for_the_best_order_only():
    errors = np.array([0, 0, 0, 1, 1.0])
    assert ause(*group_things(np.arange(5.0), errors)) == pytest.approx(0, abs=1e-12)
    assert ause(*group_things(-np.arange(5.0), errors)) > 0.3


def test_auroc_counts_pairs():
    right, wrong = np.array([2, 1, 0.0]), np.array([0, 1, 1.0])
    # pairs (right, wrong): 2 * 2 surely, one tie, one surely, of 3 * 2
    assert auroc(right, wrong) == pytest.approx((2 * 2 + 0.5 + 1) / 6)
    assert auroc(wrong[::-1], right[::-1]) == pytest.approx((2 * 2 + 0.5 + 1) / 6)


def test_what_cannot_be_told_is_nan():
    assert math.isnan(auroc(np.ones(2), np.zeros(2)))
    assert math.isnan(aurc(np.ones(1), np.ones(1)))
