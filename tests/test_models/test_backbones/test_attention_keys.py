import pytest
import timm
import torch
from safetensors.torch import save_file

from mmdiffseg.models.backbones import AttentionKeys

NAME = 'test_vit'  # patches of 16 pixels, 2 heads of 32 numbers


@pytest.fixture
def backbone(tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model(NAME, pretrained=False, num_classes=0)
    save_file(whole.state_dict(), tmp_path / 'weights.safetensors')
    backbone = AttentionKeys(model=NAME, pretrained=str(tmp_path / 'weights.safetensors'))
    backbone.init_weights()
    for name, value in whole.state_dict().items():
        assert torch.equal(backbone.network.state_dict()[name], value)
    return backbone


def test_keys_come_without_the_class_token_and_with_the_heads_innermost(backbone):
    image, network = torch.randn(2, 3, 48, 64), backbone.network
    (keys,) = backbone(image)
    assert keys.shape == (2, 64, 3, 4)
    with torch.no_grad():
        inner = network.forward_intermediates(image, indices=[4], intermediates_only=True)[0]
        tokens = inner.flatten(2).transpose(1, 2)  # (B, h w, C), what the final block reads
        last = network.blocks[-1]
        weight, bias = last.attn.qkv.weight[64:128], last.attn.qkv.bias[64:128]
        expected = last.norm1(tokens) @ weight.T + bias
    for head, number in ((0, 0), (1, 0), (0, 5), (1, 31)):
        channel = expected[..., head * 32 + number].view(2, 3, 4)
        torch.testing.assert_close(keys[:, number * 2 + head], channel, rtol=1e-4, atol=1e-5)


def test_nothing_is_trained(backbone):
    backbone.train()
    assert not backbone.network.training
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone(torch.randn(1, 3, 32, 32, requires_grad=True))[0].requires_grad


def test_missing_weights_are_said():
    with pytest.raises(FileNotFoundError, match='no pretrained weights at'):
        AttentionKeys(model=NAME, pretrained='nowhere/x.safetensors').init_weights()
