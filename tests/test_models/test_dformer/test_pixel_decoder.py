import pytest
import torch
from mmdet.models.layers import MSDeformAttnPixelDecoder as MMDetPixelDecoder

from mmdiffseg.models.dformer.pixel_decoder import MSDeformAttnPixelDecoder

CHANNELS = [8, 12, 16, 20]


@pytest.fixture
def build(pixel_decoder_config):
    def build(cls=MSDeformAttnPixelDecoder):
        torch.manual_seed(0)
        config = {k: v for k, v in pixel_decoder_config.items() if k != 'type'}
        decoder = cls(**config, in_channels=CHANNELS, feat_channels=32, out_channels=32)
        decoder.init_weights()
        return decoder

    return build


@pytest.fixture
def maps():
    """Of two images of 60 x 90 pixels, as a backbone leaves them."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(15, 23), (8, 12), (4, 6), (2, 3)]
    return [
        torch.randn(2, c, *shape, generator=generator)
        for c, shape in zip(CHANNELS, shapes, strict=True)
    ]


@torch.no_grad()
def test_computes_what_that_of_mmdet_does(build, maps):
    ours, theirs = build(), build(MMDetPixelDecoder)
    for layer in ours.encoder.layers:  # away from the zeros of the initialisation
        layer.self_attn.sampling_offsets.weight.normal_(std=0.5)
        layer.self_attn.attention_weights.weight.normal_(std=0.5)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    pixels, levels = ours(maps)
    expected_pixels, expected_levels = theirs(maps)
    torch.testing.assert_close(pixels, expected_pixels, rtol=1e-4, atol=1e-5)
    assert [level.shape[2:] for level in levels] == [(2, 3), (4, 6), (8, 12)]
    for level, expected in zip(levels, expected_levels, strict=True):
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_stays_in_float32_under_autocast(build, maps):
    decoder = build()
    pixels, levels = decoder(maps)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        cast_pixels, cast_levels = decoder(maps)
        half_pixels, _ = decoder([map_.bfloat16() for map_ in maps])
    assert torch.equal(pixels, cast_pixels)
    assert all(map(torch.equal, levels, cast_levels))
    assert half_pixels.dtype == torch.float32


def test_initialisation_of_the_authors(build):
    decoder = build()
    (layer,) = decoder.encoder.layers
    first, second = layer.ffn.layers[0][0].weight, layer.ffn.layers[1].weight
    for weight in (first, second):
        assert 0.9 < weight.abs().max() / (6 / (32 + 40)) ** 0.5 <= 1
    assert layer.self_attn.sampling_offsets.weight.abs().max() == 0
    offsets = layer.self_attn.sampling_offsets.bias.view(4, 3, 2, 2)
    torch.testing.assert_close(offsets[1, 2], torch.tensor([[0.0, 1.0], [0.0, 2.0]]))
    assert decoder.input_convs[0].conv.bias.abs().max() == 0
    assert 0.8 < decoder.level_encoding.weight.std() < 1.2
