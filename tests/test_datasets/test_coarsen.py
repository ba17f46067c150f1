import cv2
import numpy as np
import pytest

from mmdiffseg.datasets.coarsen import bend, coarsen, redraw, wear


def blob(size=96):
    ys, xs = np.mgrid[:size, :size]
    ring = ((ys - 45) / 30) ** 2 + ((xs - 50) / 40) ** 2 < 1
    return (ring & ~(((ys - 45) ** 2 + (xs - 50) ** 2) < 100)).astype(np.uint8)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_one_generator_decides_everything():
    make = [coarsen(blob(), np.random.default_rng(s), iou=0.7) for s in (0, 0, 1)]
    assert np.array_equal(make[0], make[1]) and not np.array_equal(make[0], make[2])
    assert make[0].dtype == np.uint8 and set(np.unique(make[0])) == {0, 1}


@pytest.mark.parametrize('target', [0.6, 0.8, 0.95])
def test_masks_fall_just_below_the_overlap(target):
    found = [iou(coarsen(blob(), np.random.default_rng(s), iou=target), blob()) for s in range(20)]
    assert max(found) < target and np.mean(found) > target - 0.15


def test_the_released_reference_lets_them_fall_further():
    rngs = [np.random.default_rng(s) for s in range(20)]
    found = [iou(coarsen(blob(), r, iou=0.9, reference='polygon'), blob()) for r in rngs]
    polygons = [iou(redraw(blob(), np.random.default_rng(s)), blob()) for s in range(20)]
    assert np.mean(found) < np.mean(polygons) - 0.05
    worn = [wear(redraw(blob(), r), redraw(blob(), r), r, iou=0.9) for r in rngs]
    assert all(w.any() for w in worn)


def test_redrawn_masks_have_few_corners_and_keep_their_hole():
    mask = blob()
    redrawn = redraw(mask, np.random.default_rng(0))
    assert 0.6 < iou(redrawn, mask) < 1 and redrawn[45, 50] == 0
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    corners = [cv2.approxPolyDP(o, 0.5, True) for o in cv2.findContours(
        redrawn, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]]  # fmt: skip
    assert sum(map(len, corners)) < 0.4 * sum(map(len, outlines))


def test_masks_without_a_long_outline_are_only_worn():
    dot = np.zeros((20, 20), np.uint8)
    dot[9:11, 9:11] = 1
    assert np.array_equal(redraw(dot, np.random.default_rng(0)), dot)
    coarse = coarsen(dot, np.random.default_rng(0), iou=0.8)
    assert not np.array_equal(coarse, dot)
    empty = np.zeros((20, 20), np.uint8)
    assert coarsen(empty, np.random.default_rng(0), iou=0.8).shape == (20, 20)


@pytest.mark.parametrize('target', [0.7, 0.9, 0.98])
def test_bent_masks_have_the_overlap(target):
    made = [bend(blob(), np.random.default_rng(s), iou=target) for s in (*range(20), 0)]
    assert np.array_equal(made[0], made[-1]) and not np.array_equal(made[0], made[1])
    assert np.allclose([iou(mask, blob()) for mask in made], target, atol=0.03)


def test_bent_masks_are_moved_and_wider_or_narrower():
    areas, centres = [], []
    for seed in range(20):
        bent = bend(blob(), np.random.default_rng(seed), iou=0.7)
        areas.append(bent.sum() / blob().sum())
        centres.append(np.mean(bent.nonzero(), axis=1) - np.mean(blob().nonzero(), axis=1))
    assert min(areas) < 0.9 and max(areas) > 1.1
    assert (np.min(centres, axis=0) < -2).all() and (np.max(centres, axis=0) > 1.5).all()


def test_nothing_to_bend():
    empty, full = np.zeros((20, 20), np.uint8), np.ones((20, 20), np.uint8)
    assert not bend(empty, np.random.default_rng(0), iou=0.8).any()
    assert iou(bend(full, np.random.default_rng(0), iou=0.8), full) >= 0.8


def test_bad_settings():
    with pytest.raises(ValueError, match=r'iou must lie in \(0, 1\], got 0'):
        coarsen(blob(), np.random.default_rng(0), iou=0)
    with pytest.raises(ValueError, match="reference must be one of .*, got 'box'"):
        coarsen(blob(), np.random.default_rng(0), iou=0.5, reference='box')
