import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.stochastic import CCDMUNet

RECORDED = torch.load(Path(__file__).parents[2] / 'data/ccdm_unet.pt', weights_only=True)
CITYSCAPES = dict(
    in_channels=20,
    out_channels=20,
    image_channels=3,
    model_channels=64,
    channel_mult=(1, 1, 2, 2, 4, 4),
    attention_downsample=(8, 16, 32),
)
LIDC = dict(in_channels=2, out_channels=2, image_channels=1, attention_downsample=(8, 16))


def fill(network):
    """The recorded weights, which are a function of their names."""
    for key, value in network.state_dict().items():
        seed = zlib.crc32(key.encode()) & 0x7FFFFFFF
        r = np.random.RandomState(seed).standard_normal(tuple(value.shape)).astype(np.float32)
        r = torch.from_numpy(r)
        if value.dim() > 1:
            r = r * np.sqrt(2 / np.prod(value.shape[1:]))
        else:
            r = 1 + 0.1 * r if key.endswith('weight') else 0.1 * r
        value.copy_(r)


def build(record):
    config = json.loads(record['config'])
    options = {}
    if config['feature_cond_encoder']:
        features = config['feature_cond_encoder']
        options = dict(
            feature_channels=features['channels'], feature_block=features['target_layer']
        )
    factors = [2**level for level in range(len(config['channel_mult']))]
    return CCDMUNet(
        in_channels=config['out_channels'],
        out_channels=config['out_channels'],
        image_channels=config['image_channels'],
        model_channels=config['base_channels'],
        channel_mult=config['channel_mult'],
        attention_downsample=[f for f in config['attention_resolutions'] if f in factors],
        num_head_channels=config['num_head_channels'],
        **options,
    )


@pytest.mark.parametrize('name', RECORDED)
def test_logits_of_the_released_code(name):
    record = RECORDED[name]
    network = build(record)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == record['keys']
    fill(network)
    context = network.prepare(record['image'], record.get('features'))
    x = F.one_hot(record['x'].long(), record['logits'].shape[1]).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = network(x.float(), record['t'], context)
    torch.testing.assert_close(logits, record['logits'], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    'config, count',
    [
        (LIDC, 5_699_138),
        (dict(LIDC, channel_mult=(1, 2, 2, 4, 5)), 9_056_610),
        (CITYSCAPES, 30_118_484),
        (dict(CITYSCAPES, feature_channels=384, feature_block=11), 30_627_284),
        (dict(CITYSCAPES, feature_channels=384, feature_block=10), 30_627_284),
    ],
)
def test_parameters_of_the_released_networks(config, count):
    with torch.device('meta'):
        network = CCDMUNet(**config)
    assert sum(p.numel() for p in network.parameters()) == count


def small(**options):
    torch.manual_seed(0)
    config = dict(
        in_channels=2,
        out_channels=2,
        image_channels=1,
        channel_mult=(1, 1),
        attention_downsample=(),
        num_res_blocks=1,
    )
    network = CCDMUNet(**{**config, **options})
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


@torch.no_grad()
def test_generations_share_their_images():
    network = small(feature_channels=32, feature_block=3)
    image, features = torch.randn(2, 1, 8, 8), torch.randn(2, 32, 4, 4)
    z_t, t = torch.randn(6, 2, 8, 8), torch.tensor([3.0])
    together = network(z_t, t, network.prepare(image, features))
    for row in range(6):
        b = [row % 2]
        alone = network(z_t[[row]], t, network.prepare(image[b], features[b]))
        torch.testing.assert_close(together[[row]], alone, atol=1e-5, rtol=1e-5)


def test_a_network_without_a_noisy_map():
    network = small(in_channels=0)
    context = network.prepare(torch.randn(2, 1, 8, 8))
    assert network(torch.zeros(4, 0, 8, 8), torch.zeros(1), context).shape == (4, 2, 8, 8)


def test_dropout_sits_in_the_deep_decoder_and_before_the_output():
    network = small(channel_mult=(1, 1, 1), decoder_dropout=0.5)
    active = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Dropout) and module.p > 0
    ]
    # of six decoder blocks, the four of the two deepest levels
    assert active == [f'output_blocks.{i}.0.out_layers.2' for i in range(4)] + ['dropout']


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'factors \[1, 2\] .* got \(4,\)'):
        small(attention_downsample=(4,))
    for block in (0, 2, 4):
        with pytest.raises(ValueError, match=f'feature_block={block} is none'):
            small(feature_channels=8, feature_block=block)
    network = small()
    with pytest.raises(ValueError, match='multiples of 2, got 8x9'):
        network.prepare(torch.zeros(1, 1, 8, 9))
    with pytest.raises(ValueError, match='features are needed if and only if'):
        network.prepare(torch.zeros(1, 1, 8, 8), torch.zeros(1, 8, 4, 4))
