import pytest
import torch

from mmdiffseg.diffusion import DepthEncoder


def test_depths_are_mapped_linearly():
    encoder = DepthEncoder(min_depth=0.5, max_depth=80, scale=0.3)
    depth = torch.rand(2, 1, 5, 7) * 79.5 + 0.5
    x0 = encoder.encode(depth)
    assert x0.abs().max() <= 0.3
    torch.testing.assert_close((x0 / 0.3 + 1) / 2 * 79.5 + 0.5, depth)


def test_ends_of_the_range():
    encoder = DepthEncoder(min_depth=1.0, max_depth=5.0, scale=0.1)
    depth = torch.tensor([0.0, 1.0, 3.0, 5.0, 9.0])
    torch.testing.assert_close(encoder.encode(depth), torch.tensor([-0.15, -0.1, 0.0, 0.1, 0.3]))
    expected = torch.tensor([-0.1, -0.1, 0.0, 0.1, 0.1])
    torch.testing.assert_close(encoder.encode_output(depth), expected)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(scale=0), 'scale must be positive, got 0'),
        (dict(min_depth=0), 'need 0 < min_depth < max_depth, in metres, got 0 and 10'),
        (dict(min_depth=12), 'got 12 and 10'),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DepthEncoder(**(dict(min_depth=1, max_depth=10) | options))
