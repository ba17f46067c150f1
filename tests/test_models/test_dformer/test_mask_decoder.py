from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.dformer.mask_decoder import MaskReading, pool_queries, visible_places

DATA = Path(__file__).parents[2] / 'data'
T = torch.tensor([3, 999])


@pytest.fixture
def decoder(build_dformer_head):
    torch.manual_seed(0)
    decoder = build_dformer_head().eval()
    decoder.init_weights()
    return decoder


@pytest.fixture
def maps():
    torch.manual_seed(1)
    sizes = {8: (16, 24), 12: (8, 12), 16: (4, 6), 20: (2, 3)}
    return [torch.randn(2, channels, *size) for channels, size in sizes.items()]


@pytest.fixture
def soft_masks():
    torch.manual_seed(2)
    return (torch.rand(2, 12, 60, 90) * 3 - 1).clamp(0, 1)


def prepare(decoder, maps, images=slice(None)):
    """The context of some images, for noisy masks of 60 x 90 pixels."""
    maps = [map_[images] for map_ in maps]
    return decoder.prepare_images(maps, [(60, 90)] * len(maps[0]))


def read(decoder, soft_masks, context):
    """The reading of full-size masks."""
    return decoder.read(context.grid.pick(soft_masks, image=0), context)


def resize(x, size):
    return F.interpolate(x, tuple(size), mode='bilinear')


def attend(attention, query, key, value, mask):
    """Multi-head attention from its weights; mask (B, Q, N) is True where one must not look."""
    heads = attention.attn.num_heads
    weights = attention.attn.in_proj_weight.chunk(3)
    biases = attention.attn.in_proj_bias.chunk(3)
    q, k, v = (
        F.linear(x, weight, bias).unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, N, d)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(mask[:, None], float('-inf'))
    attended = (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return attention.attn.out_proj(attended)


def straightforward(decoder, maps, soft_masks, t):
    """The decoder as the paper's figure tells it, with one head's code for everything."""
    pixels, levels = decoder.pixel_decoder(maps)
    w = resize(soft_masks, pixels.shape[2:]).double()
    q = torch.einsum('bqhw,bchw->bqc', w, pixels.double()) / w.sum((2, 3))[..., None]
    q = q.float()
    k = torch.arange(16) / 15
    angles = t[:, None] * torch.exp(-k * torch.tensor(10000.0).log())
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    hidden = F.gelu(decoder.time_mlp[1](waves))
    time = decoder.block_time_mlp[1](F.silu(decoder.time_mlp[3](hidden)))[:, None]
    pos = decoder.query_embed.weight
    soft = resize(soft_masks, levels[0].shape[2:])
    outputs = []
    for i, layer in enumerate(decoder.transformer_decoder.layers):
        level = levels[i % 3]
        tokens = level.flatten(2).transpose(1, 2) + decoder.level_embed.weight[i % 3]
        encoding = decoder.decoder_positional_encoding(torch.zeros(2, *level.shape[2:]).bool())
        encoding = encoding.flatten(2).transpose(1, 2)
        off = soft.flatten(2) < 0.5
        off[off.all(-1)] = False
        q = layer.norms[0](q + attend(layer.cross_attn, q + pos, tokens + encoding, tokens, off))
        q = layer.norms[1](q + attend(layer.self_attn, q + pos, q + pos, q, None))
        q = layer.norms[2](q + layer.ffn.layers[1](F.relu(layer.ffn.layers[0][0](q))))
        if decoder.time_modulation == 'all' or i == 0:
            scale, shift = time.chunk(2, dim=-1)
            q = q * (1 + scale) + shift
        n = decoder.transformer_decoder.post_norm(q)
        masks = torch.einsum('bqc,bchw->bqhw', decoder.mask_embed(n), pixels)
        outputs.append((decoder.cls_embed(n), masks))
        soft = resize(masks, levels[(i + 1) % 3].shape[2:]).sigmoid()
    return outputs


@torch.no_grad()
@pytest.mark.parametrize('time_modulation', ['all', 'first'])
def test_decoder_equals_the_straightforward_one(decoder, maps, soft_masks, time_modulation):
    decoder.time_modulation = time_modulation
    context = prepare(decoder, maps)
    reading = read(decoder, soft_masks, context)
    predictions = decoder.decode_every_layer(reading, T, context)
    expected = straightforward(decoder, maps, soft_masks, T)
    for prediction, (cls_scores, masks) in zip(predictions, expected, strict=True):
        torch.testing.assert_close(prediction.cls_scores, cls_scores, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(prediction.masks, masks, rtol=1e-4, atol=1e-4)
    last = decoder.decode(reading, T, context)
    assert torch.equal(last.masks, predictions[-1].masks)
    assert torch.equal(last.cls_scores, predictions[-1].cls_scores)


def test_queries_and_first_attention_mask_equal_the_recorded_ones(decoder):
    recorded = torch.load(DATA / 'dformer_pooling.pt')
    weights = resize(recorded['soft_masks'], (16, 24))
    torch.testing.assert_close(
        pool_queries(weights, recorded['features']), recorded['queries'], rtol=0, atol=1e-6
    )
    visible = visible_places(resize(recorded['soft_masks'], (2, 3)))
    assert torch.equal(~visible[0], recorded['attention_mask'])


def test_pooling_is_a_mean_and_bears_empty_masks():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    weights = torch.tensor([[[[1.0, 0.0], [0.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]])
    torch.testing.assert_close(pool_queries(weights, features), torch.tensor([[[4 / 1.5], [0.0]]]))


def test_ties_are_open_and_rows_without_sight_see_everything():
    soft = torch.tensor([[[[0.5, 0.4999, 0.7]], [[0.1, 0.2, 0.3]]]])
    assert visible_places(soft)[0].tolist() == [[True, False, True], [True, True, True]]


@torch.no_grad()
def test_heads_of_one_image_stay_together(decoder, maps, soft_masks):
    context = prepare(decoder, maps)
    both = decoder.decode(read(decoder, soft_masks, context), T, context)
    for i in range(2):
        context = prepare(decoder, maps, slice(i, i + 1))
        alone = decoder.decode(read(decoder, soft_masks[i : i + 1], context), T[i : i + 1], context)
        torch.testing.assert_close(alone.masks[0], both.masks[i], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_repeated_context_is_that_of_the_repeated_images(decoder, maps, soft_masks):
    context = prepare(decoder, maps).repeat(2)
    grid = prepare(decoder, maps).grid
    small = grid.pick(soft_masks, image=0)
    reading = decoder.read(torch.cat([small, small.flip(0)]), context)
    twice = decoder.decode(reading, T.repeat(2), context)
    context = prepare(decoder, maps)
    for rows, masks in ((slice(0, 2), small), (slice(2, 4), small.flip(0))):
        once = decoder.decode(decoder.read(masks, context), T, context)
        torch.testing.assert_close(twice.masks[rows], once.masks, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_autocast_trains(decoder, maps, soft_masks, dtype):
    with torch.autocast('cpu', dtype=dtype):
        context = prepare(decoder, maps)
        reading = read(decoder, soft_masks, context)
        predictions = decoder.decode_every_layer(reading, T, context)
    assert context.pixel_features.dtype == torch.float32
    assert len(predictions) == 4
    total = 0
    for prediction in predictions:
        assert prediction.masks.dtype == prediction.cls_scores.dtype == torch.float32
        total = total + prediction.masks.square().mean() + prediction.cls_scores.square().mean()
    total.backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_the_masks_carry_no_gradient_but_the_features_do(decoder, maps):
    context = prepare(decoder, maps)
    weights = torch.rand(2, 12, 16, 24)
    everything = torch.ones(2, 12, 6, dtype=torch.bool)
    features = context.pixel_features.detach().requires_grad_()
    context = context._replace(pixel_features=features)
    prediction = decoder.decode(MaskReading(weights, everything), T, context)
    prediction.cls_scores.sum().backward()  # reaches them through the initial queries alone
    assert features.grad.abs().sum() > 0


def test_initialisation_of_the_authors(decoder):
    layer = decoder.transformer_decoder.layers[1]
    for weight, bound in (
        (layer.cross_attn.attn.in_proj_weight, (6 / (32 + 96)) ** 0.5),
        (layer.self_attn.attn.out_proj.weight, (6 / 64) ** 0.5),
        (layer.ffn.layers[0][0].weight, (6 / (32 + 48)) ** 0.5),
        (decoder.cls_embed.weight, 1 / 32**0.5),  # torch's own from here on
        (decoder.time_mlp[3].weight, 1 / 128**0.5),
        (decoder.block_time_mlp[1].weight, 1 / 128**0.5),
    ):
        assert 0.9 < weight.abs().max() / bound <= 1
    assert layer.cross_attn.attn.in_proj_bias.abs().max() == 0
    assert layer.ffn.layers[1].bias.abs().max() > 0
    for embedding in (decoder.query_embed, decoder.level_embed):
        assert 0.8 < embedding.weight.std() < 1.2


def test_unknown_settings_are_refused(build_dformer_head):
    with pytest.raises(ValueError, match="time_modulation must be one of .* got 'none'"):
        build_dformer_head(time_modulation='none')
    with pytest.raises(TypeError, match='num_querys'):
        build_dformer_head(num_querys=200)
