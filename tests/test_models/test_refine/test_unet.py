import pytest
import torch

from mmdiffseg.models.refine import PixelShuffleUNet
from mmdiffseg.models.segdiff import SegDiffUNet

SMALL = dict(
    model_channels=32,
    channel_mult=(1, 1),
    num_res_blocks=1,
    attention_downsample=(2,),
    fusion='input_concat',
)
CHANNELS = dict(in_channels=1, out_channels=1, feature_channels=3)


def test_a_table_of_times_and_no_zeros():
    torch.manual_seed(0)
    network = SegDiffUNet(**CHANNELS, **SMALL, time_table=6, zero_init=False)
    assert network.time_embed.weight.shape == (6, 128)
    assert all(p.any() for name, p in network.named_parameters() if name.endswith('weight'))
    x, context = torch.randn(2, 1, 16, 16), network.prepare(torch.randn(2, 3, 16, 16))
    one, other = (network(x, torch.tensor([t]), context) for t in (1, 4))
    assert not torch.allclose(one, other)
    both = network(x, torch.tensor([1, 4]), context)
    torch.testing.assert_close(both, torch.stack([one[0], other[1]]))
    assert not SegDiffUNet(**CHANNELS, **SMALL).out[2].weight.any()


def test_blocks_of_pixels():
    torch.manual_seed(0)
    inner = dict(SMALL, type='mmdiffseg.SegDiffUNet', time_table=6, zero_init=False)
    network = PixelShuffleUNet(**CHANNELS, factor=2, denoiser=inner)
    assert network.stride == 4 and network.denoiser.in_channels == 4
    image, mask = torch.randn(1, 3, 16, 24), torch.randn(1, 1, 16, 24)
    found = network(mask, torch.tensor([0]), network.prepare(image))
    assert found.shape == mask.shape

    def blocks(x):  # (C, H, W) -> (4 C, H / 2, W / 2), the places of a block row by row
        return torch.stack([c[i::2, j::2] for c in x for i in (0, 1) for j in (0, 1)])[None]

    plain = network.denoiser(
        blocks(mask[0]), torch.tensor([0]), network.denoiser.prepare(blocks(image[0]))
    )
    for place, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        torch.testing.assert_close(found[0, 0, i::2, j::2], plain[0, place])
    with pytest.raises(ValueError, match='multiples of 2, got 9x16'):
        network.prepare(torch.randn(1, 3, 18, 32))
