"""The grid of noisy masks and their noise against those of torch."""

import numpy as np
import pytest

from mmdiffseg.diffusion import Draws as TorchDraws
from mmdiffseg.models.dformer.mask_grid import GridDraws as TorchGridDraws
from mmdiffseg.models.dformer.mask_grid import MaskGrid as TorchMaskGrid
from mmdiffseg.runtime.draws import Draws
from mmdiffseg.runtime.mask_sets import GridDraws, MaskGrid, walk_mask_sets

SIZES = [(64, 96), (61, 90), (37, 95), (1, 1), (200, 91)]
SHAPES = dict(fine=(16, 24), coarse=(2, 3))


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_a_grid_is_that_of_torch(size):
    ours, theirs = MaskGrid(size, **SHAPES), TorchMaskGrid([size], **SHAPES)
    assert ours.shape == theirs.shape
    for axis, expected in ((ours.rows, theirs.rows), (ours.columns, theirs.columns)):
        for part, wanted in zip(axis, expected, strict=True):
            np.testing.assert_array_equal(part, wanted[0].numpy())
    given = ours.inputs(3)
    assert given['rows_place'].shape == (3, 36) and given['rows_place'].dtype == np.float32
    np.testing.assert_array_equal(given['columns_fine'], theirs.columns.fine.repeat(3, 1))


@pytest.mark.parametrize(
    'noise_size, size', [('img', (61, 90)), ('padded', (64, 96))], ids=['img', 'padded']
)
def test_the_grid_of_an_image_follows_from_its_features(noise_size, size):
    context = dict(context0=np.zeros((1, 8, 16, 24)), context1=np.zeros((1, 8, 2, 3)))
    told = dict(fine='context0', coarse='context1', stride=4, noise_size=noise_size)
    grid = MaskGrid.of_image(told, context, (61, 90))
    assert grid.size == size
    np.testing.assert_array_equal(grid.rows.index, MaskGrid(size, **SHAPES).rows.index)


def test_draws_are_those_of_whole_masks():
    names, size = ['a/0', 'a/1'], (61, 90)
    grid = MaskGrid(size, **SHAPES)
    theirs = TorchGridDraws(TorchDraws.named(names, seed=3), TorchMaskGrid([size] * 2, **SHAPES))
    ours = GridDraws(Draws(names, seed=3), grid)
    for name in ('start', 'step0'):
        expected = theirs.normal(name, (2, 4, *grid.shape)).numpy()
        found = ours.draw('normal', name, (4, *grid.shape))
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_recorded_draws_have_the_size_of_the_masks():
    grid = MaskGrid((61, 90), **SHAPES)
    full = np.random.default_rng(0).normal(size=(2, 4, 61, 90)).astype(np.float32)
    draws = GridDraws(Draws(['a', 'b'], seed=0, given=dict(start=full)), grid)
    np.testing.assert_array_equal(draws.draw('normal', 'start', (4, 36, 54)), grid.pick(full))
    draws = GridDraws(Draws(['a', 'b'], seed=0, given=dict(start=full[..., 1:])), grid)
    with pytest.raises(ValueError, match=r"'start' has the shape \(1, 4, 61, 89\)"):
        draws.draw('normal', 'start', (4, 36, 54))


def test_steps_run_on_the_grid():
    """With a denoiser that says the same of everything."""
    grid = MaskGrid((61, 90), **SHAPES)
    seen = []

    def call(state):
        seen.append(state)
        return dict(cls_scores=None, masks=None, x0=np.full_like(state['z_t'], 0.5))

    loop = dict(map=[4, 64, 96], stochastic=False, integer_times=True)
    rows = [dict(t=9, z=[0.5], x0=[2.0], noise=[0.0]), dict(t=1)]
    first, last = walk_mask_sets(loop, rows, call, grid, Draws(['a', 'b'], seed=0))
    assert last.z_t.shape == (2, 4, *grid.shape)
    np.testing.assert_allclose(last.z_t, 0.5 * first.z_t + 1.0)
    assert seen[0]['rows_fine'].shape == (2, 16)
