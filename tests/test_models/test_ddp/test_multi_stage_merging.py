import torch
import torch.nn.functional as F

from mmdiffseg.models.ddp import MultiStageMerging


def test_levels_are_resized_concatenated_and_projected():
    neck = MultiStageMerging(in_channels=[3, 4], out_channels=6)
    fine, coarse = torch.randn(2, 3, 9, 7), torch.randn(2, 4, 5, 4)
    (merged,) = neck([fine, coarse])
    levels = [fine, F.interpolate(coarse, (9, 7), mode='bilinear', align_corners=False)]
    torch.testing.assert_close(merged, neck.down.conv(torch.cat(levels, 1)))


def test_normalised_convolution_has_no_bias():
    neck = MultiStageMerging(
        in_channels=[32] * 2, out_channels=64, norm_cfg=dict(type='GN', num_groups=32)
    )
    assert set(neck.state_dict()) == {'down.conv.weight', 'down.gn.weight', 'down.gn.bias'}


def test_convolution_is_xavier_uniform():
    neck = MultiStageMerging(in_channels=[256] * 4, out_channels=256)
    neck.init_weights()
    bound = (6 / (1024 + 256)) ** 0.5
    assert 0.99 * bound < neck.down.conv.weight.abs().max() <= bound
