from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdiffseg.models.layers.unet_blocks import (
    Downsample,
    GroupNorm32,
    ResBlock,
    SelfAttention,
    TimeSequential,
    Upsample,
    decoder_blocks,
    encoder_blocks,
)

RECORDED = torch.load(Path(__file__).parents[2] / 'data/segdiff_blocks.pt', weights_only=True)


def away_from_zero(module):
    for parameter in module.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return module


def test_attention_of_the_released_code():
    attention = SelfAttention(channels=64, num_heads=4)
    attention.load_state_dict(RECORDED['attention']['weights'])
    out = attention(RECORDED['attention']['x'])
    torch.testing.assert_close(out, RECORDED['attention']['y'], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kernel_size', [1, 3])
@pytest.mark.parametrize('scale_shift', [False, True])
def test_res_block_step_by_step(scale_shift, kernel_size):
    torch.manual_seed(0)
    block = away_from_zero(
        ResBlock(
            in_channels=32,
            out_channels=64,
            emb_channels=12,
            scale_shift=scale_shift,
            skip_kernel_size=kernel_size,
        )
    )
    x, emb = torch.randn(2, 32, 5, 7), torch.randn(2, 12)
    w = block.state_dict()

    def convolve(x, name, padding):
        return F.conv2d(x, w[f'{name}.weight'], w[f'{name}.bias'], padding=padding)

    def norm(x, name):
        return F.group_norm(x, 32, w[f'{name}.weight'], w[f'{name}.bias'], 1e-5)

    h = convolve(F.silu(norm(x, 'in_layers.0')), 'in_layers.2', 1)
    time = F.linear(F.silu(emb), w['emb_layers.1.weight'], w['emb_layers.1.bias'])[..., None, None]
    if scale_shift:
        h = norm(h, 'out_layers.0') * (1 + time[:, :64]) + time[:, 64:]
    else:
        h = norm(h + time, 'out_layers.0')
    expected = convolve(F.silu(h), 'out_layers.3', 1)
    expected = expected + convolve(x, 'skip_connection', kernel_size // 2)
    torch.testing.assert_close(block(x, emb), expected, atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    block = ResBlock(in_channels=32, out_channels=32, emb_channels=4, dropout=0.5)
    away_from_zero(block)
    x, emb = torch.randn(1, 32, 4, 4), torch.randn(1, 4)
    assert not torch.equal(block(x, emb), block(x, emb))
    block.eval()
    assert torch.equal(block(x, emb), block(x, emb))


def test_blocks_start_as_the_identity():
    x = torch.randn(2, 32, 4, 6)
    block = ResBlock(in_channels=32, out_channels=32, emb_channels=8)
    assert torch.equal(block(x, torch.randn(2, 8)), x)
    assert torch.equal(SelfAttention(channels=32, num_heads=4)(x), x)


def test_one_time_for_all_maps():
    torch.manual_seed(0)
    block = away_from_zero(ResBlock(in_channels=32, out_channels=32, emb_channels=8))
    x, emb = torch.randn(3, 32, 4, 4), torch.randn(1, 8)
    torch.testing.assert_close(block(x, emb), block(x, emb.expand(3, -1)))


def test_resampling():
    x = torch.randn(2, 32, 7, 9)
    down, up = Downsample(32), Upsample(32)
    assert down(x).shape == (2, 32, 4, 5)
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(up(x), up.conv(repeated))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_norm_computes_in_float32(dtype):
    torch.manual_seed(0)
    norm = away_from_zero(GroupNorm32(32))
    x = (300 + torch.randn(2, 32, 64, 64)).to(dtype)  # the squares overflow float16
    expected = F.group_norm(x.float(), 32, norm.weight, norm.bias).to(dtype)
    assert torch.equal(norm(x), expected)
    norm.to(dtype)
    assert norm(x).dtype == dtype


def test_time_reaches_only_the_residual_blocks():
    torch.manual_seed(0)
    block = away_from_zero(ResBlock(in_channels=32, out_channels=64, emb_channels=8))
    attention = away_from_zero(SelfAttention(channels=64, num_heads=2))
    layers = TimeSequential(block, attention, nn.Identity())
    x, emb = torch.randn(1, 32, 4, 4), torch.randn(1, 8)
    torch.testing.assert_close(layers(x, emb), attention(block(x, emb)))


def test_impossible_widths_are_refused():
    with pytest.raises(ValueError, match='multiple of 32, the groups of its norms, got 48'):
        GroupNorm32(48)
    with pytest.raises(ValueError, match='multiple of num_heads, got 64 and 3'):
        SelfAttention(channels=64, num_heads=3)


def test_blocks_of_a_u_shape():
    seen = []

    def stage(inputs, outputs, level):
        seen.append((inputs, outputs, level))
        return [nn.Conv2d(inputs, outputs, 1)]

    stem = nn.Conv2d(3, 8, 1)
    shape = dict(widths=(8, 16), num_stages=2)
    blocks, skips = encoder_blocks(stem, stage, stem_channels=8, joined={4: 5}, **shape)
    assert seen == [(8, 8, 0), (8, 8, 0), (8 + 5, 16, 1), (16, 16, 1)]
    assert skips == [8, 8, 8, 8, 16, 16]  # stem, two stages, downsampling, two stages
    assert [type(layer) for block in blocks for layer in block].index(Downsample) == 3

    seen.clear()
    up = decoder_blocks(stage, skips=skips, **shape)
    assert seen == [
        (16 + 16, 16, 1),
        (16 + 16, 16, 1),
        (16 + 8, 16, 1),
        (16 + 8, 8, 0),
        (8 + 8, 8, 0),
        (8 + 8, 8, 0),
    ]
    assert [len(block) for block in up] == [1, 1, 2, 1, 1, 1]  # the third one doubles the size
