import copy
import gzip
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mmdiffseg.models.in_context.adapters import (
    add_layer_adapters,
    add_shared_adapter,
    cross_attention_layers,
)
from mmdiffseg.models.latent.stable_diffusion import load_unet

diffusers = pytest.importorskip('diffusers')
RELEASED = Path(__file__).parents[2] / 'data/ref_ldm_seg_released.json.gz'


@pytest.fixture
def unet(diffusion_folder):
    return load_unet(str(diffusion_folder)).eval()


def run(unet, tokens, mask=None):
    z = torch.linspace(-1, 1, 2 * 4 * 64).view(2, 4, 8, 8)
    t = torch.tensor([3, 700])
    return unet(z, t, encoder_hidden_states=tokens, encoder_attention_mask=mask).sample


def test_layer_adapters_equal_a_shared_one_where_they_agree(unet):
    tokens, mask = torch.randn(2, 10, 96), torch.tensor([[1.0] * 4 + [0] * 6, [0] + [1] * 9])
    shared = copy.deepcopy(unet)
    add_shared_adapter(shared, 96)
    adapters = add_layer_adapters(unet, 96)
    for adapter in adapters:
        adapter.load_state_dict(shared.encoder_hid_proj.state_dict())
    expected = run(shared, tokens, mask)
    torch.testing.assert_close(run(unet, tokens, mask), expected)
    # each layer has its own
    for adapter in adapters:
        bias = adapter.bias.data.clone()
        adapter.bias.data.add_(torch.randn(64))
        assert not torch.allclose(run(unet, tokens, mask), expected, atol=1e-5)
        adapter.bias.data.copy_(bias)


def test_order_of_the_layers_is_the_published_one():
    with torch.device('meta'):
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=768)
        adapters = add_layer_adapters(unet, 1024)
    published = json.loads(gzip.decompress(RELEASED.read_bytes()))['cross_attention_layers']
    assert list(cross_attention_layers(unet)) == published
    assert sum(p.numel() for p in adapters.parameters()) == 12_595_200


def test_copies_use_their_own_adapters(unet):
    model = nn.ModuleDict(dict(unet=unet))
    model['adapters'] = add_layer_adapters(unet, 96)
    copied, tokens = copy.deepcopy(model), torch.randn(2, 5, 96)
    expected = run(unet, tokens)
    for parameter in model['adapters'].parameters():
        parameter.data.zero_()
    assert torch.equal(run(copied['unet'], tokens), expected)
    assert not torch.equal(run(unet, tokens), expected)


def test_masked_tokens_are_not_attended_to(unet):
    add_shared_adapter(unet, 96)
    tokens, mask = torch.randn(2, 6, 96), torch.tensor([[1.0, 1, 1, 0, 0, 0]] * 2)
    torch.testing.assert_close(run(unet, tokens, mask), run(unet, tokens[:, :3]))
    nothing = run(unet, tokens, torch.zeros(2, 6))
    torch.testing.assert_close(nothing, run(unet, tokens), rtol=1e-3, atol=1e-4)


def test_adapters_start_as_torch_draws_them(unet):
    add_shared_adapter(unet, 96)
    bound = 96**-0.5
    weight = unet.encoder_hid_proj.weight
    assert 0.9 * bound < weight.abs().max() <= bound
    assert unet.config.encoder_hid_dim == 96


def test_an_adapter_that_is_there_is_kept(unet, tmp_path):
    add_shared_adapter(unet, 96)
    unet.save_pretrained(tmp_path / 'unet')
    trained = load_unet(str(tmp_path))
    add_shared_adapter(trained, 96)
    assert torch.equal(trained.encoder_hid_proj.weight, unet.encoder_hid_proj.weight)
    with pytest.raises(ValueError, match='of width 96, but the prompt encoder makes them 32 wide'):
        add_shared_adapter(trained, 32)
    with pytest.raises(ValueError, match='already has a shared adapter'):
        add_layer_adapters(trained, 96)
