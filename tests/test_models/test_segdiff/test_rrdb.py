from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.backbones import IdentityBackbone
from mmdiffseg.models.segdiff import RRDBNet
from mmdiffseg.models.segdiff.rrdb import DenseBlock

RECORDED = torch.load(Path(__file__).parents[2] / 'data/segdiff_blocks.pt', weights_only=True)


def test_dense_block_of_the_released_code():
    block = DenseBlock(channels=16, growth_channels=8)
    block.load_state_dict(RECORDED['dense_block']['weights'])
    out = block(RECORDED['dense_block']['x'])
    torch.testing.assert_close(out, RECORDED['dense_block']['y'], atol=1e-5, rtol=1e-5)


def build():
    torch.manual_seed(0)
    network = RRDBNet(out_channels=24, mid_channels=16, growth_channels=8, num_blocks=2)
    for parameter in network.parameters():  # residuals that count
        parameter.data.mul_(2)
    return network


def test_trunk_and_long_residual():
    network = build()
    image = torch.randn(2, 3, 7, 9)
    first = network.conv_first(image)
    x = first
    for block in network.RRDB_trunk:
        x = x + 0.2 * block.RDB3(block.RDB2(block.RDB1(x)))
    x = first + network.trunk_conv(x)
    expected = network.conv_last(F.leaky_relu(network.HRconv(x), 0.2))
    (out,) = network(image)
    assert out.shape == (2, 24, 7, 9)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_autocast(dtype):
    network = build()
    image = torch.randn(2, 3, 8, 8)
    (full,) = network(image)
    with torch.autocast('cpu', dtype=dtype):
        (half,) = network(image)
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05 * full.std().item())


@pytest.mark.parametrize(('num_blocks', 'parameters'), [(15, 10_940_864), (6, 4_466_048)])
def test_released_sizes(num_blocks, parameters):
    with torch.device('meta'):
        network = RRDBNet(num_blocks=num_blocks)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_identity_hands_the_image_on():
    image = torch.randn(2, 3, 4, 5)
    (feature,) = IdentityBackbone()(image)
    assert feature is image
