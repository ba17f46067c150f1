import numpy as np
import pytest

from mmdiffseg.datasets import mask_sources
from mmdiffseg.datasets.mask_sources import SOURCES


def two_objects():
    ys, xs = np.mgrid[:120, :160]
    disk = (ys - 40) ** 2 + (xs - 45) ** 2 < 30**2
    return disk | ((ys >= 80) & (ys < 110) & (xs >= 100) & (xs < 140))


@pytest.mark.parametrize('name', SOURCES)
def test_sources_are_wrong_near_the_outline_and_nowhere_else(name):
    truth = two_objects()
    coarse = SOURCES[name](truth)
    assert coarse.shape == truth.shape and coarse.dtype == bool
    overlap = (coarse & truth).sum() / (coarse | truth).sum()
    assert 0.6 < overlap < 1
    assert np.array_equal(coarse, SOURCES[name](truth))
    assert not SOURCES[name](np.zeros((30, 40), bool)).any()


def test_regions_grow_and_shrink_by_a_tenth_of_their_own_radius():
    truth = two_objects()
    larger, smaller = mask_sources.dilated(truth), mask_sources.eroded(truth)
    assert (larger & truth).sum() == truth.sum() and (smaller & ~truth).sum() == 0
    row = truth[40], larger[40], smaller[40]  # across the disk of radius 30
    assert [int(r.sum()) for r in row] == [59, 65, 53]
    square = truth[95, 90:150].sum(), larger[95, 90:150].sum()  # of 1200 pixels: radius 1.95
    assert square == (40, 44)


def test_boxes_and_polygons_fill_holes_and_shifts_move():
    ring = two_objects()
    ring[35:45, 40:50] = False
    assert mask_sources.polygon(ring)[40, 45] and mask_sources.box(ring)[40, 45]
    assert mask_sources.box(ring).sum() == 59 * 59 + 30 * 40
    moved = mask_sources.shifted(ring)  # a diagonal of 200: 4 to the right, 2 down
    assert np.array_equal(moved[2:, 4:], ring[:-2, :-4]) and not moved[:2].any()


def test_blocks_are_blocks():
    found = mask_sources.blocks(two_objects()[:112, :])
    cells = found.reshape(7, 16, 10, 16)
    assert (cells.all(axis=(1, 3)) | ~cells.any(axis=(1, 3))).all()


def test_tiny_pictures():
    for source in SOURCES.values():
        assert source(np.ones((3, 2), bool)).shape == (3, 2)
