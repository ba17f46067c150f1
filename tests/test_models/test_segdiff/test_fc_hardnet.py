import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmdiffseg.models.segdiff import FCHarDNet
from mmdiffseg.models.segdiff.fc_hardnet import HarDBlock


def test_published_size_and_cost():
    with torch.device('meta'):
        network = FCHarDNet(out_channels=19).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 1024, 2048))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(4.1, abs=0.05)
    assert counter.get_total_flops() / 2e9 == pytest.approx(35.4, rel=0.01)


def test_links_and_widths_of_a_block():
    block = HarDBlock(in_channels=32, growth=10, depth=8, norm_cfg=dict(type='BN'))
    assert block.links == [[0], [1, 0], [2], [3, 2, 0], [4], [5, 4], [6], [7, 6, 4, 0]]
    # 10 * 1.7^(links - 1), to the next even number
    widths = [10, 18, 10, 28, 10, 18, 10, 50]
    assert [layer.conv.out_channels for layer in block.layers] == widths
    assert block.layers[3].conv.in_channels == 10 + 18 + 32
    assert block.out_channels == 10 + 10 + 10 + 10 + 50
    x = torch.randn(2, 32, 4, 4)
    assert block(x).shape == (2, block.out_channels, 4, 4)


@pytest.mark.parametrize('size', [(64, 64), (70, 37), (33, 1)])
def test_feature_has_the_size_of_the_image(size):
    network = FCHarDNet(out_channels=32)
    image = torch.randn(2, 3, *size, requires_grad=True)
    (feature,) = network(image)
    assert feature.shape == (2, 32, *size)
    feature.square().mean().backward()
    assert image.grad.abs().sum() > 0


def test_every_layer_takes_part():
    network = FCHarDNet(out_channels=32)
    network(torch.randn(2, 3, 64, 64))[0].square().mean().backward()
    unused = [name for name, p in network.named_parameters() if p.grad is None]
    assert unused == []
