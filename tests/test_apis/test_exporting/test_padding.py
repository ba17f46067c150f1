"""Padding of timm's layers as constants."""

import pytest
import torch

timm = pytest.importorskip('timm')

from mmdiffseg.apis.exporting.padding import constant_padding, watched_padding  # noqa: E402


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    name, stages = 'tf_efficientnet_lite0', (0, 1, 2, 3)
    return timm.create_model(name, features_only=True, out_indices=stages).eval()


@torch.no_grad()
def test_constants_are_right_where_all_sizes_divide(network):
    image = torch.randn(1, 3, 96, 160)
    with watched_padding() as divides:
        expected = network(image)
    assert all(divides) and len(divides) > 4
    with constant_padding():
        found = network(image)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
def test_sizes_that_do_not_divide_are_seen(network):
    with watched_padding() as divides:
        network(torch.randn(1, 3, 48, 72))  # 72 is 9 at the third layer
    assert not all(divides)
