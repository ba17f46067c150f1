from pathlib import Path

import numpy as np
import pytest

from mmdiffseg.models.referring.positional_bias import PositionalBias, dimmed, ramp

RECORDED = Path(__file__).parents[2] / 'data/ref_diff_bias.npz'


@pytest.mark.parametrize('case', range(12))
def test_recorded(case):
    recorded = np.load(RECORDED)
    image, output = recorded[f'image_{case}'], recorded[f'output_{case}']
    direction = PositionalBias().direction(str(recorded[f'text_{case}']))
    weights = 1 if direction is None else ramp(direction, *image.shape[:2])[..., None]
    np.testing.assert_allclose(image * weights, output, atol=1e-12)
    np.testing.assert_array_equal(dimmed(image, direction), (image * weights).astype(np.uint8))


def test_ramps_of_all_sides():
    np.testing.assert_allclose(ramp('left', 1, 6), [[1, 2 / 3, 1 / 3, 0, 0, 0]])
    np.testing.assert_allclose(ramp('bottom', 6, 1).T, [[0, 0, 0, 1 / 3, 2 / 3, 1]])
    np.testing.assert_array_equal(ramp('right', 4, 7), ramp('left', 4, 7)[:, ::-1])
    np.testing.assert_array_equal(ramp('top', 7, 4), ramp('left', 4, 7).T)


def test_whole_words_and_more_directions():
    bias = PositionalBias(
        directions=('left', 'right', 'top', 'bottom'), word_boundary=True, on=('soft', 'heat')
    )
    assert bias.direction('bright yellow shirt') is None
    assert bias.direction('Left guy') == 'left'
    sides = [bias.side('top shelf', target) for target in ('hard', 'soft', 'heat')]
    assert sides == [None, 'top', 'top'] and bias.side('shelf', 'soft') is None
    assert PositionalBias(directions=()).direction('left') is None


@pytest.mark.parametrize('setting', [dict(directions=('up',)), dict(on='hard'), dict(on=['crop'])])
def test_unknown_settings(setting):
    with pytest.raises(ValueError, match='must be some of'):
        PositionalBias(**setting)
