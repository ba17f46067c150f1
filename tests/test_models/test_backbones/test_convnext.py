import re

import pytest
import timm
import torch
import torch.nn.functional as F

from mmdiffseg.models.backbones import ConvNeXt

SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))


def test_layout_of_the_authors_backbone():
    backbone = ConvNeXt(arch='convnext_tiny', drop_path_rate=0.4)
    assert [len(stage.blocks) for stage in backbone.stages] == [3, 3, 9, 3]
    rates = [getattr(b.drop_path, 'drop_prob', 0.0) for s in backbone.stages for b in s.blocks]
    assert rates == pytest.approx(torch.linspace(0, 0.4, 18).tolist())
    block = backbone.stages[0].blocks[0]
    assert torch.equal(block.gamma, torch.ones(96))
    assert isinstance(block.mlp.fc1, torch.nn.Linear)
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert len(norms) == 18 + 4 + 4 and {norm.eps for norm in norms} == {1e-6}
    assert sum(p.numel() for p in backbone.parameters()) == 27_821_472


@torch.no_grad()
def test_features_equal_timm(tmp_path):
    torch.manual_seed(0)
    reference = timm.create_model(
        'convnext_tiny', num_classes=5, ls_init_value=1e-6, **SMALL
    ).eval()
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(reference.state_dict(), tmp_path / 'model.pth')
    ours = ConvNeXt(pretrained=str(tmp_path / 'model.pth'), **SMALL).eval()
    ours.init_weights()
    image = torch.randn(2, 3, 70, 101)  # odd sizes
    expected = reference.forward_intermediates(image, intermediates_only=True)
    outputs = ours(image)
    for feature, raw in zip(outputs[:3], expected[:3], strict=True):  # their norms start fresh
        raw = F.layer_norm(raw.movedim(1, -1), raw.shape[1:2], eps=1e-6).movedim(-1, 1)
        torch.testing.assert_close(feature, raw, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs[3], reference.head.norm(expected[3]), atol=1e-5, rtol=1e-5)


def test_original_release_has_other_names(tmp_path):
    reference = timm.create_model('convnext_tiny', num_classes=5, **SMALL)
    names = [
        ('stem.', 'downsample_layers.0.'),
        (r'stages\.(\d)\.downsample\.', r'downsample_layers.\1.'),
        (r'\.blocks\.', '.'),
        ('conv_dw', 'dwconv'),
        (r'mlp\.fc', 'pwconv'),
        (r'head\.norm', 'norm'),
        (r'head\.fc', 'head'),
    ]
    original = {}
    for name, value in reference.state_dict().items():
        for timm_name, original_name in names:
            name = re.sub(timm_name, original_name, name)
        original[name] = value
    torch.save(dict(model=original), tmp_path / 'model.pth')
    ours = ConvNeXt(pretrained=str(tmp_path / 'model.pth'), **SMALL)
    ours.init_weights()
    shared = ours.state_dict().keys() & reference.state_dict().keys()
    assert len(shared) == len(reference.state_dict()) - 4  # but for the classifier and its norm
    assert all(torch.equal(ours.state_dict()[k], reference.state_dict()[k]) for k in shared)


def test_other_width_is_refused(tmp_path):
    reference = timm.create_model('convnext_tiny', num_classes=5, **SMALL)
    torch.save(reference.state_dict(), tmp_path / 'model.pth')
    wider = ConvNeXt(
        depths=(1, 1, 2, 1), dims=(8, 16, 24, 40), pretrained=str(tmp_path / 'model.pth')
    )
    with pytest.raises(ValueError, match=r'of another shape .*\(40, 24, 2, 2\)'):
        wider.init_weights()
