import pytest
import timm
import torch
from safetensors.torch import save_file

from mmdiffseg.models.backbones import IdentityBackbone, ImageAndFeatures, TimmFeatures

NAME = 'tf_efficientnet_lite0'


def test_the_maps_are_timms_and_nothing_above_them_is_kept(tmp_path):
    whole = timm.create_model(NAME, pretrained=False).eval()
    save_file(whole.state_dict(), tmp_path / 'weights.safetensors')
    backbone = TimmFeatures(
        model=NAME, out_indices=(0, 1, 2, 3), pretrained=str(tmp_path / 'weights.safetensors')
    )
    backbone.init_weights()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = backbone.eval()(image)
        expected = whole.blocks[:5](whole.bn1(whole.conv_stem(image)))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
    ]
    torch.testing.assert_close(maps[3], expected)
    kept = sum(p.numel() for p in backbone.parameters())
    assert kept < sum(p.numel() for p in whole.blocks[:5].parameters()) + 10_000


def test_missing_weights_are_said(tmp_path):
    backbone = TimmFeatures(model=NAME, out_indices=(0,), pretrained='nowhere/x.safetensors')
    with pytest.raises(FileNotFoundError, match='no pretrained weights at'):
        backbone.init_weights()


def test_the_image_comes_first():
    backbone = ImageAndFeatures(backbone=dict(type='mmdiffseg.IdentityBackbone'))
    image = torch.randn(1, 3, 8, 8)
    assert isinstance(backbone.backbone, IdentityBackbone)
    first, second = backbone(image)
    assert first is image and second is image
