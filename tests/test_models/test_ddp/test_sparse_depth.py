import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.ddp.sparse_depth import DOWNSAMPLE_RULES, downsample_depth

DEPTH = torch.tensor([[2.0, 0, 0, 0], [4.0, 0, 0, 0], [0, 0, 5.0, 7.0], [0, 0, 6.0, 0]])[None, None]


@pytest.mark.parametrize(
    'rule, expected',
    [
        ('bilinear', [[1.5, 0], [0, 4.5]]),
        ('nearest', [[2, 0], [0, 5]]),
        ('max', [[4, 0], [0, 7]]),
        ('masked_avg', [[3, 0], [0, 6]]),
    ],
)
def test_rules(rule, expected):
    small = downsample_depth(DEPTH, (2, 2), rule)
    torch.testing.assert_close(small[0, 0], torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize('rule', DOWNSAMPLE_RULES)
def test_odd_sizes(rule):
    depth = torch.rand(3, 1, 37, 53) + 1
    small = downsample_depth(depth, (10, 14), rule)
    assert small.shape == (3, 1, 10, 14)
    assert ((small >= 1) & (small <= 2)).all()


def test_dense_maps_are_averaged_alike():
    depth = torch.rand(1, 1, 8, 12) + 1
    torch.testing.assert_close(
        downsample_depth(depth, (2, 3), 'masked_avg'), F.avg_pool2d(depth, 4)
    )
