import pytest
import timm
import torch
from mmseg.models.backbones import ResNet as MMSegResNet

from mmdiffseg.models.backbones import ResNet

FROZEN = dict(norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True)


@torch.no_grad()
@pytest.mark.parametrize('counted', [True, False])
def test_features_equal_timm(tmp_path, counted):
    torch.manual_seed(0)
    reference = timm.create_model('resnet18', features_only=True, out_indices=(1, 2, 3, 4)).eval()
    weights = reference.state_dict()
    for name, value in weights.items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2)
    weights['fc.weight'] = torch.zeros(5, 512)
    if not counted:  # torchvision's oldest files
        weights = {k: v for k, v in weights.items() if not k.endswith('num_batches_tracked')}
    torch.save(weights, tmp_path / 'model.pth')
    ours = ResNet(depth=18, pretrained=str(tmp_path / 'model.pth'), **FROZEN)
    ours.init_weights()
    ours.train()  # its norms keep to the loaded statistics
    image = torch.randn(2, 3, 64, 96)
    for feature, expected in zip(ours(image), reference(image), strict=True):
        torch.testing.assert_close(feature, expected, rtol=1e-4, atol=1e-5)


def test_other_depths_are_refused(tmp_path):
    reference = timm.create_model('resnet34', num_classes=0)
    torch.save(reference.state_dict(), tmp_path / 'model.pth')
    with pytest.raises(ValueError, match=r'unknown \(layer1\.2'):
        ResNet(depth=18, pretrained=str(tmp_path / 'model.pth')).init_weights()


@torch.no_grad()
@pytest.mark.parametrize('deep_stem', [False, True])
def test_layout_and_library_of_a_cpu_change_no_map(deep_stem):
    torch.manual_seed(0)
    ours = ResNet(depth=50, base_channels=16, stem_channels=16, deep_stem=deep_stem)
    theirs = MMSegResNet(depth=50, base_channels=16, stem_channels=16, deep_stem=deep_stem)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image = torch.randn(1, 3, 65, 96)
    ours.eval(), theirs.eval()
    for map_, expected in zip(ours(image), theirs(image), strict=True):
        torch.testing.assert_close(map_, expected, rtol=1e-4, atol=1e-5)
        assert map_.is_contiguous()


@torch.no_grad()
def test_one_thread_takes_onednn():
    network, image = ResNet(depth=50), torch.randn(1, 3, 224, 224)
    network.eval()  # mmseg's returns nothing
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.profiler.profile() as profile:
            network(image)
    finally:
        torch.set_num_threads(threads)
    names = {event.key for event in profile.key_averages()}
    assert 'aten::mkldnn_convolution' in names and 'aten::_slow_conv2d_forward' not in names
