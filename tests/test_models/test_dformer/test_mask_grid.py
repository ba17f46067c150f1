import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.dformer.mask_grid import GridDraws, MaskGrid

SIZES = [(64, 96), (60, 90), (37, 96), (1, 1), (200, 91)]


def resize(masks, size):
    return F.interpolate(masks, size, mode='bilinear', align_corners=False)


@pytest.fixture
def grid():
    return MaskGrid(SIZES, fine=(16, 24), coarse=(2, 3))


@pytest.fixture
def full():
    torch.manual_seed(0)
    return [torch.rand(4, *size) for size in SIZES]


def test_reads_what_interpolate_makes_of_the_whole_masks(grid, full):
    picked = torch.stack([grid.pick(masks, image=i) for i, masks in enumerate(full)])
    assert picked.shape == (5, 4, *grid.shape) == (5, 4, 36, 54)
    fine, coarse = grid.read(picked)
    for i, masks in enumerate(full):
        expected = resize(masks[None], (16, 24))[0]
        torch.testing.assert_close(fine[i], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(coarse[i], resize(masks[None], (2, 3))[0], rtol=0, atol=1e-5)


def test_ties_of_exact_multiples_stay_ties():
    grid = MaskGrid([(64, 96)], fine=(16, 24), coarse=(2, 3))
    masks = (torch.rand(1, 50, 64, 96) < 0.5).float()
    fine, coarse = grid.read(grid.pick(masks, image=0))
    assert torch.equal(fine, resize(masks, (16, 24))) and (fine == 0.5).any()
    assert torch.equal(coarse, resize(masks, (2, 3))) and (coarse == 0.5).any()


def test_spreads_as_interpolate_and_pick_do(grid):
    torch.manual_seed(0)
    maps = torch.randn(5, 4, 16, 24)
    spread = grid.spread(maps)
    for i, size in enumerate(SIZES):
        expected = grid.pick(resize(maps[i : i + 1], size)[0], image=i)
        torch.testing.assert_close(spread[i], expected, rtol=0, atol=1e-4)


def test_some_images_of_a_grid(grid, full):
    some = grid.select([2, 0, 2])
    assert some.sizes == [SIZES[2], SIZES[0], SIZES[2]]
    assert torch.equal(some.pick(full[0], image=1), grid.pick(full[0], image=0))


def test_draws_are_those_of_the_whole_masks(grid):
    names = list('abcde')
    shape = (5, 4, *grid.shape)
    for method in ('normal', 'uniform'):
        picked = getattr(GridDraws(Draws.named(names, seed=3), grid), method)('x', shape)
        for i, size in enumerate(SIZES):
            whole = getattr(Draws.named([names[i]], seed=3), method)('x', (1, 4, *size))[0]
            assert torch.equal(picked[i], grid.pick(whole, image=i))


def test_recorded_draws_have_the_size_of_the_masks(grid, full):
    picked = GridDraws(Draws({'start': full}), grid).normal('start', (5, 4, *grid.shape))
    assert torch.equal(picked[1], grid.pick(full[1], image=1))
    with pytest.raises(ValueError, match=r"'start' has the shape \(1, 4, 37, 96\)"):
        wrong = [full[2], *full[1:]]
        GridDraws(Draws({'start': wrong}), grid).normal('start', (5, 4, *grid.shape))
