import math

import pytest
import torch

from mmdiffseg.models.referring.attention_capture import (
    capture_attention,
    cross_attention_layers,
    token_attention,
)


def test_stable_diffusion_1_5():
    diffusers = pytest.importorskip('diffusers')
    with torch.device('meta'):
        unet = diffusers.UNet2DConditionModel(
            block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768
        )
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    layers = cross_attention_layers(unet, 4)
    assert list(layers) == [
        f'{block}.attentions.{i}.transformer_blocks.0.attn2'
        for block, count in (('down_blocks.2', 2), ('up_blocks.1', 3))
        for i in range(count)
    ]
    for layer in layers.values():
        assert layer.heads == 8 and layer.to_q.weight.shape == (1280, 1280)
        assert layer.to_k.weight.shape == (1280, 768) and layer.to_k.bias is None
    assert len(cross_attention_layers(unet, 8)) == 1
    assert len(cross_attention_layers(unet, 1)) == 5
    for stride in (16, 3, 0.5):
        with pytest.raises(ValueError, match='no cross-attention at'):
            cross_attention_layers(unet, stride)


@pytest.fixture
def unet(stable_diffusion):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(stable_diffusion, subfolder='unet').eval()


@pytest.mark.parametrize('attn_type', ['logits', 'softmax'])
def test_attention_of_one_token(unet, attn_type):
    (attn, *_) = cross_attention_layers(unet, 2).values()
    hidden, context = torch.randn(3, 64, 16), torch.randn(3, 12, 16)
    tokens = torch.tensor([1, 5, 11])
    ours = token_attention(attn, hidden, context, tokens, attn_type=attn_type)
    q, k = (attn.head_to_batch_dim(x) for x in (attn.to_q(hidden), attn.to_k(context)))
    maps = (q.double() @ k.double().transpose(1, 2)) / math.sqrt(q.shape[2])
    if attn_type == 'softmax':
        maps = maps.softmax(dim=2)
    maps = maps.unflatten(0, (3, attn.heads)).mean(dim=1)  # (B, N, L)
    expected = torch.stack([maps[b, :, token] for b, token in enumerate(tokens)])
    torch.testing.assert_close(ours.double(), expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_capture_changes_nothing_and_leaves_when_it_has_enough(unet):
    layers = list(cross_attention_layers(unet, 2).values())
    latents, context = torch.randn(2, 4, 16, 16), torch.randn(2, 12, 16)
    expected = unet(latents, 5, encoder_hidden_states=context).sample
    settings = dict(attn_type='logits')
    tokens = torch.tensor([1, 2])
    done = False
    with capture_attention(layers, tokens, enough=7, **settings) as maps:
        output = unet(latents, 5, encoder_hidden_states=context).sample
        unet(latents, 5, encoder_hidden_states=context)
        done = True
    assert torch.equal(output, expected) and not done
    assert [m.shape for m in maps] == [(2, 64)] * 7
    assert torch.equal(maps[0], maps[4])
    assert torch.equal(unet(latents, 5, encoder_hidden_states=context).sample, expected)
