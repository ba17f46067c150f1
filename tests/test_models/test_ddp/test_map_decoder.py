import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.ddp import DeformableMapDecoder


def build(**options):
    torch.manual_seed(0)
    options = dict(feature_channels=24, map_channels=5, channels=32, num_layers=2) | options
    decoder = DeformableMapDecoder(**options)
    for parameter in decoder.parameters():  # away from the zeros of the initialisation
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return decoder.eval()


def straightforward(decoder, feature, z_t, time):
    """The released decoder, step by step: concatenate, project, six times attend and modulate."""
    b, _, h, w = feature.shape
    x = decoder.transform.conv(torch.cat([feature, z_t], dim=1))
    q = x.flatten(2).transpose(1, 2)
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing='ij')
    centres = torch.stack([x / w, y / h], -1).view(1, h * w, 1, 1, 2)
    positions = decoder.prepare(feature).positions
    embedding = decoder.time_mlp(time)
    for layer in decoder.encoder.layers:
        attention = layer.attentions[0]
        query = q + positions
        offsets = attention.sampling_offsets(query).view(b, h * w, 8, 4, 2)
        weights = attention.attention_weights(query).view(b, h * w, 8, 4).softmax(-1)
        grid = 2 * (centres + offsets / torch.tensor([w, h])) - 1
        value = attention.value_proj(q).view(b, h, w, 8, 4).permute(0, 3, 4, 1, 2)  # (B,M,D,h,w)
        heads = []
        for m in range(8):
            sampled = F.grid_sample(value[:, m], grid[:, :, m], align_corners=False)  # (B,D,N,P)
            heads.append((sampled * weights[:, None, :, m]).sum(-1).transpose(1, 2))
        q = layer.norms[0](q + attention.output_proj(torch.cat(heads, -1)))
        q = layer.norms[1](q + layer.ffns[0].layers(q))
        if layer.time_mlp is not None:
            scale, shift = layer.time_mlp(embedding).chunk(2, dim=1)
            q = q * (scale[:, None] + 1) + shift[:, None]
    return q.transpose(1, 2).view(b, -1, h, w)


@pytest.mark.parametrize('grad', [True, False])
@pytest.mark.parametrize('shape', [(6, 8), (5, 3), (1, 7)])
@pytest.mark.parametrize('time_modulation', [True, False])
def test_decoder_equals_the_straightforward_one(shape, time_modulation, grad):
    decoder = build(time_modulation=time_modulation)
    feature, z_t = torch.randn(2, 24, *shape), torch.randn(2, 5, *shape)
    time = torch.tensor([-18.9, 3.0])
    with torch.set_grad_enabled(grad):
        out = decoder(z_t, time, decoder.prepare(feature))
        expected = straightforward(decoder, feature, z_t, time)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_generations_share_the_image():
    decoder = build()
    feature, z_t = torch.randn(2, 24, 4, 4), torch.randn(6, 5, 4, 4)
    time = torch.tensor([1.0])
    out = decoder(z_t, time, decoder.prepare(feature))
    for row in range(6):
        context = decoder.prepare(feature[row % 2 : row % 2 + 1])
        expected = decoder(z_t[row : row + 1], time, context)
        torch.testing.assert_close(out[row : row + 1], expected, rtol=1e-4, atol=1e-5)


def test_time_matters_unless_modulation_is_off():
    feature, z_t = torch.randn(1, 24, 4, 4), torch.randn(1, 5, 4, 4)

    def difference(decoder):
        context = decoder.prepare(feature)
        early, late = (decoder(z_t, torch.tensor([v]), context) for v in (-10.0, 10.0))
        return (early - late).abs().max().item()

    assert difference(build()) > 1e-3
    assert difference(build(time_modulation=False)) == 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_autocast_trains(dtype):
    decoder = build()
    feature = torch.randn(2, 24, 5, 4, requires_grad=True)
    z_t = torch.randn(2, 5, 5, 4)
    full = decoder(z_t, torch.zeros(2), decoder.prepare(feature))
    with torch.autocast('cpu', dtype=dtype):
        half = decoder(z_t, torch.zeros(2), decoder.prepare(feature))
    torch.testing.assert_close(half.float(), full, rtol=0.1, atol=0.15)
    half.float().square().mean().backward()
    assert feature.grad.isfinite().all() and feature.grad.abs().sum() > 0


def test_initialisation_of_the_released_code():
    torch.manual_seed(0)
    decoder = DeformableMapDecoder(feature_channels=32, map_channels=32, channels=32, num_layers=1)
    (layer,) = decoder.encoder.layers
    attention = layer.attentions[0]
    assert attention.sampling_offsets.weight.abs().max() == 0
    assert attention.attention_weights.weight.abs().max() == 0
    offsets = attention.sampling_offsets.bias.view(8, 1, 4, 2)
    assert offsets[0, 0].tolist() == [[1, 0], [2, 0], [3, 0], [4, 0]]
    bound = (6 / (32 + 128)) ** 0.5
    assert 0.9 * bound < layer.ffns[0].layers[1].weight.abs().max() <= bound
    assert 0.9 * bound * (160 / 192) ** 0.5 < layer.time_mlp[1].weight.abs().max()
    assert decoder.transform.conv.bias.abs().max() == 0
    assert decoder.transform.conv.weight.std().item() == pytest.approx((2 / 32) ** 0.5, rel=0.1)
