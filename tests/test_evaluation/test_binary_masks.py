from pathlib import Path

import numpy as np
import pytest

from mmdiffseg.evaluation import (
    area_ratio,
    boundary_f1,
    boundary_map,
    boundary_matches,
    f1_score,
    iou,
    weighted_coverage,
)

# mask pairs with what SegDiff's released code gives for them; WCov is NaN where it raises
RECORDED = np.load(Path(__file__).parents[1] / 'data/segdiff_metrics.npz')
CASES = sorted({key.split('/')[0] for key in RECORDED})


def mask(*rows):
    return np.array([[pixel != '.' for pixel in row] for row in rows])


@pytest.mark.parametrize('case', CASES)
def test_scores_of_the_released_code(case):
    pred, gt, expected = (RECORDED[f'{case}/{key}'] for key in ('pred', 'gt', 'scores'))
    scores = [iou(pred, gt), f1_score(pred, gt), area_ratio(pred, gt), boundary_f1(pred, gt)]
    if case == 'empty_both':  # the released code divides by zero
        assert np.isnan(expected[2]) and scores[2] == 1
        expected[2] = 1
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('case', CASES)
def test_boundaries_of_the_released_code(case):
    pred, gt = (boundary_map(RECORDED[f'{case}/{key}']) for key in ('pred', 'gt'))
    np.testing.assert_array_equal(pred, RECORDED[f'{case}/bmap_pred'])
    np.testing.assert_array_equal(gt, RECORDED[f'{case}/bmap_gt'])
    for radius, recorded in enumerate(RECORDED[f'{case}/per_radius'], start=1):
        assert boundary_matches(pred, gt, radius) == tuple(recorded[3:])


def test_thirteen_cases_are_recorded():
    assert len(CASES) == 13


def test_masks_of_numbers_and_of_any_shape():
    pred, gt = np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 1, 1], np.uint8)
    assert iou(pred, gt) == 0.5
    assert f1_score(pred, gt) == 2 / 3
    assert area_ratio(pred, gt) == 1


def test_both_empty_may_count_as_right():
    empty, full = np.zeros((3, 3)), np.ones((3, 3))
    assert iou(empty, empty) == f1_score(empty, empty) == 0
    assert iou(empty, empty, empty=1.0) == f1_score(empty, empty, empty=1.0) == 1
    assert iou(empty, full, empty=1.0) == f1_score(full, empty, empty=1.0) == 0


def test_weighted_coverage_of_regions():
    gt = mask('##....', '##....', '......', '....##')
    pred = mask('##....', '......', '......', '...###')
    # 4 pixels at IoU 2/4, 2 at 2/3
    assert weighted_coverage(pred, gt) == pytest.approx((4 * 0.5 + 2 * 2 / 3) / 6, abs=1e-12)
    assert weighted_coverage(gt, gt) == 1
    # moved by their width: the area ratio does not see it
    moved = np.roll(gt, 2, axis=1)
    assert area_ratio(moved, gt) == 1 and weighted_coverage(moved, gt) == 0


def test_diagonal_neighbours_are_one_region():
    gt = mask('#.', '.#')
    assert weighted_coverage(mask('#.', '..'), gt) == 0.5


def test_weighted_coverage_without_regions():
    empty, full = np.zeros((3, 3)), np.ones((3, 3))
    assert weighted_coverage(empty, empty) == 1
    assert weighted_coverage(full, empty) == 0
    assert weighted_coverage(empty, full) == 0


def test_what_is_not_known_has_no_boundary():
    gt = mask('..####', '..####', '..####')
    np.testing.assert_array_equal(boundary_map(gt), mask('.#....', '.#....', '.#....'))
    valid = np.ones((3, 6), bool)
    valid[:, 4:] = False
    # neither the end of the known pixels nor what a prediction does beyond it
    np.testing.assert_array_equal(boundary_map(gt & valid, valid), boundary_map(gt))
    assert boundary_f1(gt & valid, gt, valid=valid) == 1
    assert boundary_f1(gt & valid, gt) < 1
    valid[:, 2:] = False
    assert not boundary_map(gt, valid).any()
