import numpy as np
import pytest

from mmdiffseg.visualization import depth_colours, depth_picture, relative_error
from mmdiffseg.visualization.depth import UNMEASURED


def test_equal_ratios_are_equally_far_in_colour():
    colours = depth_picture(
        np.array([[1.0, 2.0, 4.0, 8.0, 0.0, 0.5, 99.0]]), (1, 8), colormap='gray'
    )
    assert colours.shape == (1, 7, 3) and colours.dtype == np.uint8
    assert colours[0, :4, 0].tolist() == pytest.approx([0, 85, 170, 255], abs=2)
    assert colours[0, 4].tolist() == list(UNMEASURED)
    assert colours[0, 5, 0] == 0 and colours[0, 6, 0] == 255


def test_the_legend_has_the_colours_of_the_picture():
    legend = depth_colours((1, 16), count=3)
    assert list(legend) == ['1 m', '4 m', '16 m']
    assert list(legend['4 m']) == depth_picture(np.array([[4.0]]), (1, 16))[0, 0].tolist()


def test_a_flat_scene_has_one_colour():
    assert len(np.unique(depth_picture(np.full((3, 4), 5.0), (5, 5)).reshape(-1, 3), axis=0)) == 1


def test_relative_error_where_something_was_measured():
    error = relative_error(np.array([3.0, 5.0, 7.0]), np.array([2.0, 10.0, 0.0]))
    assert error.tolist() == [0.5, 0.5, 0.0]
