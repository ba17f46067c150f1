import numpy as np
import pytest
import torch

from mmdiffseg.models.refine.crops import (
    cut,
    doubtful_boxes,
    inside,
    mask_box,
    outline,
    outline_boxes,
    paste,
    squares,
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
    (found,) = squares(torch.tensor([[x, y]]), 4, (10, 12)).tolist()
    assert tuple(found) == box


@pytest.mark.parametrize('size', [(10, 12), (1, 70), (64, 3)])
def test_a_square_larger_than_the_image_is_filled_up_by_reflection(size):
    ((*box,),) = squares(torch.tensor([[0, 0]]), 64, size).tolist()
    assert box == [0, 0, 64, 64] and inside(box, size) == (0, 0, min(size[1], 64), size[0])
    map_ = torch.rand(3, *size)
    padding = [(0, 0), *((0, max(64 - length, 0)) for length in size)]
    expected = np.pad(map_.numpy(), padding, mode='reflect')[:, :64, :64]
    assert np.array_equal(cut(map_, box).numpy(), expected)


def test_enlarged_masks_fade_at_their_border():
    map_ = torch.rand(2, 5, 7)

    def weights(small, large):
        places = (torch.arange(large)[:, None] + 0.5) * small / large - 0.5
        return (1 - (places - torch.arange(small)).abs()).clamp(min=0)  # (large, small)

    for size in ((11, 20), (5, 7), (4, 3)):
        expected = weights(5, size[0]) @ map_ @ weights(7, size[1]).T
        torch.testing.assert_close(paste(map_, size), expected, atol=1e-5, rtol=0)
    assert paste(torch.ones(1, 2, 2), (8, 8))[0, 0, 0] == pytest.approx(0.625**2)


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


@pytest.mark.parametrize('model, size', [(16, (37, 61)), (20, (333, 57)), (24, (64, 200))])
def test_doubtful_places_by_the_released_rule(model, size):
    fine = torch.rand(model, model, generator=torch.Generator().manual_seed(1))
    boxes = []
    for y, x in (fine < 0.9 * fine.max()).nonzero().tolist():
        corner = []
        for at, limit in ((x, size[1]), (y, size[0])):
            centre = int(np.float32(at) * np.float32(limit / model))
            corner.append(min(max(centre - model // 2, 0), limit - model))
        boxes.append((1 - fine[y, x].item(), corner))
    kept = []
    for _, (x, y) in sorted(boxes, key=lambda box: -box[0]):
        shared = [
            max(model - abs(x - left), 0) * max(model - abs(y - top), 0) for left, top in kept
        ]
        if all(area / (2 * model**2 - area) <= 0.3 for area in shared):
            kept.append((x, y))
    found = doubtful_boxes(fine, model, size)
    assert found == [(x, y, x + model, y + model) for x, y in kept]
