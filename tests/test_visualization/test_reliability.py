import numpy as np

from mmdiffseg.visualization import reliability_diagram


def test_bars_are_as_high_as_the_frequencies():
    pixels = np.full(4, 1000.0)
    low = reliability_diagram(np.stack([pixels, pixels / 2, pixels * 0.1]))
    high = reliability_diagram(np.stack([pixels, pixels / 2, pixels * 0.9]))
    assert low.shape == high.shape and low.shape[2] == 3 and low.dtype == np.uint8

    def blue(picture):  # in the upper chart
        return (picture[: len(picture) // 2, :, 2] > picture[: len(picture) // 2, :, 0]).sum()

    assert blue(high) > 5 * blue(low)


def test_empty_bins_have_no_bar():
    sums = np.zeros((3, 15))
    sums[:, 0] = 10, 1, 2
    assert np.isfinite(reliability_diagram(sums)).all()
