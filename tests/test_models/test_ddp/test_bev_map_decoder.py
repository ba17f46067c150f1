import pytest
import torch

from mmdiffseg.models.ddp import BEVMapDecoder

SCOPES = dict(input_scope=[(-4, 4, 1), (-3, 3, 1)], output_scope=[(-2, 6, 2), (-3, 3, 0.5)])


def build(**options):
    torch.manual_seed(0)
    decoder = BEVMapDecoder(
        **SCOPES, feature_channels=24, map_channels=5, channels=32, num_layers=2, **options
    )
    for parameter in decoder.parameters():  # away from the zeros of the initialisation
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return decoder.eval()


@pytest.mark.parametrize('time_modulation', [True, False])
def test_feature_and_map_are_joined_before_the_grid_changes(time_modulation):
    decoder = build(time_modulation=time_modulation)
    feature, z_t, time = torch.randn(2, 24, 8, 6), torch.randn(4, 5, 8, 6), torch.tensor([1.0])
    context = decoder.prepare(feature)
    assert context.shape == (4, 12)

    joined = decoder.transform.conv(torch.cat([feature.repeat(2, 1, 1, 1), z_t], dim=1))
    sampled = decoder.grid_transform(joined)
    # the last row of the map lies beyond the feature, where not even the bias reaches
    assert (sampled[:, :, 3] == 0).all() and (sampled[:, :, 2] != 0).all()
    tokens = sampled.flatten(2).transpose(1, 2)
    for layer in decoder.encoder.layers:
        tokens = layer(
            tokens,
            positions=context.positions,
            references=context.references,
            shape=(4, 12),
            time=decoder.time_mlp(time),
        )
    expected = tokens.transpose(1, 2).unflatten(2, (4, 12))
    torch.testing.assert_close(decoder(z_t, time, context), expected, rtol=1e-4, atol=1e-5)


def test_width_and_depth_of_the_released_model():
    decoder = BEVMapDecoder(**SCOPES, feature_channels=512, map_channels=256)
    shapes = {name: tuple(value.shape) for name, value in decoder.state_dict().items()}
    assert shapes['transform.conv.weight'] == (256, 768, 1, 1)
    assert shapes['encoder.layers.4.time_mlp.1.weight'] == (512, 1024)
    assert 'encoder.layers.5.norms.0.weight' not in shapes
    assert not any('grid' in name for name in shapes)


def test_half_precision():
    decoder = build()
    feature, z_t, time = torch.randn(1, 24, 8, 6), torch.randn(1, 5, 8, 6), torch.tensor([1.0])
    full = decoder(z_t, time, decoder.prepare(feature))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = decoder(z_t, time, decoder.prepare(feature))
    torch.testing.assert_close(half.float(), full, rtol=0.1, atol=0.1)
