import pytest
import timm
import torch

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
