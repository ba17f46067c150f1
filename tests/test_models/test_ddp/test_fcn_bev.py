import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.registry import MODELS

FEATURE = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def head():
    torch.manual_seed(0)
    scopes = dict(input_scope=[(0, 6, 1)] * 2, output_scope=[(1, 5, 0.5)] * 2)
    return MODELS.build(
        dict(type='mmdiffseg.FCNMapHead', in_channels=8, channels=4, num_classes=3, **scopes)
    ).eval()


def test_convolutions_run_on_the_grid_of_the_map(head):
    expected = head.conv_seg(head.convs(head.grid_transform(FEATURE)))
    assert expected.shape == (2, 3, 8, 8)
    torch.testing.assert_close(head([FEATURE]), expected)
    torch.testing.assert_close(head.predict([FEATURE], [{}, {}], {}), expected.sigmoid())
    masks = torch.randint(2, (2, 3, 8, 8))
    samples = [SegDataSample(gt_map=PixelData(data=mask)) for mask in masks]
    losses = head.loss([FEATURE], samples, {})
    torch.testing.assert_close(losses, dict(loss_focal=head.loss_decode(expected, masks)))


def test_a_feature_that_is_not_cut_as_declared(head):
    with pytest.raises(ValueError, match='of 6 x 3 cells does not .* which has 6 x 6'):
        head.predict([FEATURE[..., :3]], [{}, {}], {})
