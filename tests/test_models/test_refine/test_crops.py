import numpy as np
import pytest
import torch

from mmdiffseg.models.refine.crops import (
    doubtful_boxes,
    mask_box,
    outline,
    outline_boxes,
    place,
    widen,
)


def test_boxes_of_masks():
    mask = torch.zeros(10, 12, dtype=torch.bool)
    assert mask_box(mask) is None
    mask[3:5, 7] = mask[8, 2] = True
    assert mask_box(mask) == (2, 3, 8, 9)
    assert widen((2, 3, 8, 9), 2, (10, 12)) == (0, 1, 10, 10)


@pytest.mark.parametrize(
    'x, y, box', [(5, 5, (3, 3, 7, 7)), (0, 9, (0, 6, 4, 10)), (11, 0, (8, 0, 12, 4))]
)
def test_squares_stay_in_the_image(x, y, box):
    assert place(x, y, 4, (10, 12)) == box


def test_a_square_larger_than_the_image_is_the_image():
    assert place(1, 1, 64, (10, 12)) == (0, 0, 12, 10)


def test_outline_touches_both_sides():
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[:, 3:] = True
    expected = np.zeros((6, 6), bool)
    expected[:, 2:4] = True
    assert np.array_equal(outline(mask).numpy(), expected)
    assert not outline(torch.ones(6, 6, dtype=torch.bool)).any()


def test_squares_cover_the_outline_and_little_else():
    ys, xs = torch.meshgrid(torch.arange(200), torch.arange(260), indexing='ij')
    mask = (ys - 90) ** 2 + (xs - 120) ** 2 < 70**2
    boxes = outline_boxes(mask, 32)
    covered = torch.zeros_like(mask)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 260 and 0 <= top < bottom <= 200
        covered[top:bottom, left:right] = True
    assert covered[outline(mask)].all()
    assert covered.float().mean() < 0.5
    assert len(boxes) == len(set(boxes)) < 60
    assert outline_boxes(torch.zeros(20, 20, dtype=torch.bool), 8) == []


def test_doubtful_places_are_the_least_sure_ones_that_are_apart():
    fine = torch.full((8, 8), 0.9)
    fine[1, 1], fine[1, 2], fine[6, 6] = 0.1, 0.2, 0.3
    assert doubtful_boxes(fine, 8, (32, 32)) == [(0, 0, 8, 8), (20, 20, 28, 28)]
    assert doubtful_boxes(torch.zeros(4, 4), 8, (32, 32)) == []
