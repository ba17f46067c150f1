from pathlib import Path

import pytest
import torch

from mmdiffseg.models.ddp.bev_grid import BEVGridTransform, count_cells

RECORDED = torch.load(Path(__file__).parents[2] / 'data/ddp_bev_grid.pt')
FEATURE = (-51.2, 51.2, 0.8)
MAP = (-50, 50, 0.5)


@pytest.mark.parametrize('case', ['square', 'rect'])
def test_equals_the_recorded_one(case):
    bev = RECORDED[case]['bev']
    columns = (-51.2, 51.2, 102.4 / bev.shape[3])
    grid = BEVGridTransform(input_scope=[FEATURE, columns], output_scope=[MAP, MAP])
    grid.check(bev)
    out = grid(bev)
    assert out.shape == (1, 1, 200, 200)
    # every fourth cell of the result was kept
    torch.testing.assert_close(out[:, :, ::4, 1::4], RECORDED[case]['out'], rtol=0, atol=1e-5)


def test_rows_are_the_first_axis_and_zeros_lie_outside():
    bev = torch.arange(24.0).view(1, 1, 4, 6)
    grid = BEVGridTransform(
        input_scope=[(0, 8, 2), (0, 6, 1)], output_scope=[(-4, 4, 2), (3, 5, 1)]
    )
    expected = torch.tensor([[0, 0], [0, 0], [3, 4], [9, 10.0]]).view(1, 1, 4, 2)
    torch.testing.assert_close(grid(bev), expected)


def test_every_sample_for_itself_in_its_own_precision():
    grid = BEVGridTransform(input_scope=[(0, 4, 1)] * 2, output_scope=[(0, 4, 0.5)] * 2)
    bev = torch.randn(3, 2, 4, 4)
    together = grid(bev)
    for row in range(3):
        assert torch.equal(grid(bev[row : row + 1])[0], together[row])
    half = grid(bev.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), together, rtol=0.02, atol=0.02)


def test_a_feature_that_is_not_cut_as_declared():
    grid = BEVGridTransform(input_scope=[FEATURE, FEATURE], output_scope=[MAP, MAP])
    with pytest.raises(ValueError) as error:
        grid.check(torch.zeros(1, 2, 120, 128))
    assert str(error.value) == (
        'a BEV feature of 120 x 128 cells does not match its input_scope, -51.2 to 51.2 by 0.8 and '
        '-51.2 to 51.2 by 0.8, which has 128 x 128: set input_scope to the range and the cell size '
        'of the feature'
    )


@pytest.mark.parametrize('scope', [(0, 10, 3), (10, 0, 1), (0, 10, 0), (0, 10, -1), (0, 1, 5)])
def test_scopes_are_checked(scope):
    with pytest.raises(ValueError, match='whole number of steps from low to high, got'):
        count_cells(scope)
    assert count_cells(MAP) == 200 and count_cells(FEATURE) == 128
