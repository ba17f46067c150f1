import copy

import pytest
import torch

from mmdiffseg.models.in_context.lora import add_lora
from mmdiffseg.models.in_context.widen import widen_input
from mmdiffseg.models.latent.stable_diffusion import load_unet

diffusers = pytest.importorskip('diffusers')


@pytest.fixture
def unet(diffusion_folder):
    return load_unet(str(diffusion_folder)).eval()


def run(unet, z):
    tokens = torch.linspace(-1, 1, 2 * 5 * 64).view(2, 5, 64)
    return unet(z, 10, encoder_hidden_states=tokens).sample


def test_lora_is_a_low_rank_update_of_all_four_maps(unet):
    pytest.importorskip('peft')
    plain, z = copy.deepcopy(unet), torch.randn(2, 4, 8, 8)
    add_lora(unet, r=4, alpha=8)
    torch.testing.assert_close(run(unet, z), run(plain, z))  # starts at zero
    trained = {name for name, p in unet.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in unet.named_parameters() if '.lora_' in name}
    weights = plain.state_dict()
    updated = 0
    for name, value in unet.state_dict().items():
        if name.endswith('lora_B.default.weight'):
            torch.nn.init.normal_(value, std=0.1)
            a = unet.state_dict()[name.replace('lora_B', 'lora_A')]
            assert a.shape[0] == 4 and a.std().item() == pytest.approx(0.25, rel=0.3)
            layer = name.removesuffix('.lora_B.default.weight')
            assert layer.rsplit('.attn', 1)[1][2:] in ('to_q', 'to_k', 'to_v', 'to_out.0')
            weights[f'{layer}.weight'] += 8 / 4 * value @ a
            updated += 1
    assert updated == 8 * sum(name.endswith('.attn2') for name, _ in plain.named_modules())
    torch.testing.assert_close(run(unet, z), run(plain, z), rtol=1e-4, atol=1e-4)


def test_parameters_of_lora_at_the_real_width():
    pytest.importorskip('peft')
    with torch.device('meta'):
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=768)
        add_lora(unet, r=4)
    trained = [p.numel() for p in unet.parameters() if p.requires_grad]
    assert len(trained) == 256 and sum(trained) == 797_184


def test_rank_zero_is_refused(unet):
    with pytest.raises(ValueError, match='at least 1, got r=0'):
        add_lora(unet, r=0)


def test_a_second_latent_starts_without_effect(unet):
    plain, z = copy.deepcopy(unet), torch.randn(2, 4, 8, 8)
    widen_input(unet, 8)
    assert unet.config.in_channels == 8 and unet.conv_in.weight.requires_grad
    torch.testing.assert_close(run(unet, torch.cat([z, torch.randn_like(z)], dim=1)), run(plain, z))
    widen_input(unet, 8)
    assert torch.equal(unet.conv_in.weight[:, :4], plain.conv_in.weight)
    with pytest.raises(ValueError, match='takes 8 input channels, this model has 4'):
        widen_input(unet, 4)
