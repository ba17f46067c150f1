import numpy as np
import pytest

from mmdiffseg.visualization import mode_bars

BLUE = (0x34, 0x84, 0xDB)


def heights(picture, color):
    """Pixels of a colour in every column that has it."""
    counts = (picture == color).all(axis=-1).sum(axis=0)
    return counts[counts > 20]


def test_bars_are_as_high_as_the_shares():
    shares = dict(raters=dict(a=0.4, b=0.1), samples=dict(a=0.2, b=0.4))
    picture = mode_bars(shares, size=(600, 300))
    assert picture.shape == (300, 600, 3)
    assert picture.dtype == np.uint8
    bars = heights(picture, BLUE)
    assert bars.min() / bars.max() == pytest.approx(0.5, abs=0.03)


def test_many_modes_fit():
    shares = dict(raters={f'mode{n:02d}': 1 / 66 for n in range(66)})
    assert mode_bars(shares).shape == (260, 800, 3)
