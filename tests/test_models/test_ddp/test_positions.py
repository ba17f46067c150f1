import math

import pytest
import torch

from mmdiffseg.models.ddp.positions import reference_points, sine_positions


@pytest.mark.parametrize('height, width, channels', [(4, 6, 64), (33, 17, 8)])
def test_sine_positions_by_their_formula(height, width, channels):
    positions = sine_positions(height, width, channels, torch.device('cpu'))
    assert positions.shape == (1, height * width, channels)
    features = channels // 2
    for i, j, k in [(0, 0, 0), (1, 2, 3), (height - 1, width - 1, features - 1)]:
        y = (i + 0.5) / (height + 1e-6) * 2 * math.pi / 10000 ** (2 * (k // 2) / features)
        x = (j + 0.5) / (width + 1e-6) * 2 * math.pi / 10000 ** (2 * (k // 2) / features)
        wave = math.cos if k % 2 else math.sin
        token = positions[0, i * width + j]
        assert token[k].item() == pytest.approx(wave(y), abs=1e-5)
        assert token[features + k].item() == pytest.approx(wave(x), abs=1e-5)


def test_reference_points_are_cell_centres_in_xy_order():
    points = reference_points(2, 4, torch.device('cpu'))
    assert points.shape == (1, 8, 1, 2)
    assert points[0, 0, 0].tolist() == [0.125, 0.25]
    assert points[0, 7, 0].tolist() == [0.875, 0.75]
