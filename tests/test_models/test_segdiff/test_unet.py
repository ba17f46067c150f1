import gzip
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmdiffseg.models.segdiff import RRDBNet, SegDiffUNet

DATA = Path(__file__).parents[2] / 'data'
RELEASED = json.loads(gzip.decompress((DATA / 'segdiff_released.json.gz').read_bytes()))
TINY = dict(
    model_channels=32, channel_mult=(1, 2, 2), num_res_blocks=1, attention_downsample=(2, 4)
)
DEEP = dict(channel_mult=(1, 1, 1, 2, 2, 4, 4), attention_downsample=(16, 32))


def build(**options):
    torch.manual_seed(0)
    options = dict(in_channels=1, out_channels=1, feature_channels=32) | TINY | options
    network = SegDiffUNet(**options)
    for parameter in network.parameters():  # away from the zeros of the initialisation
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize(
    ('name', 'options', 'num_blocks', 'parameters'),
    [
        ('cityscapes', {}, 15, (10_940_864, 151_825_153)),
        ('vaihingen', DEEP, 6, (4_466_048, 155_372_161)),
        ('monuseg', DEEP, 12, (8_782_592, 155_372_161)),
        ('tiny', TINY, 1, (813_536, 1_163_105)),
    ],
)
def test_names_and_shapes_of_the_released_code(name, options, num_blocks, parameters):
    width = options.get('model_channels', 128)
    with torch.device('meta'):
        encoder = RRDBNet(out_channels=width, num_blocks=num_blocks)
        network = SegDiffUNet(in_channels=1, out_channels=1, feature_channels=width, **options)
    ours = {f'rrdb.{name}': list(value.shape) for name, value in encoder.state_dict().items()}
    ours |= {name: list(value.shape) for name, value in network.state_dict().items()}
    assert ours == RELEASED[name]
    counts = [sum(p.numel() for p in module.parameters()) for module in (encoder, network)]
    assert tuple(counts) == parameters


def straightforward(
    w, z_t, t, feature, *, fusion='add', level=0, class_ids=None, heads=4, decoder_heads=4
):
    """The released network from its weights alone, with a feature for every mask."""

    def convolve(x, name, stride=1):
        weight = w[f'{name}.weight']
        return F.conv2d(x, weight, w[f'{name}.bias'], stride, weight.shape[-1] // 2)

    def linear(x, name):
        return x @ w[f'{name}.weight'].T + w[f'{name}.bias']

    def norm(x, name):
        groups = x.reshape(len(x), 32, -1)
        groups = groups - groups.mean(-1, keepdim=True)
        groups = groups / (groups.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return groups.view_as(x) * w[f'{name}.weight'].view(shape) + w[f'{name}.bias'].view(shape)

    def res_block(x, name):
        h = convolve(F.silu(norm(x, f'{name}.in_layers.0')), f'{name}.in_layers.2')
        h = h + linear(F.silu(emb), f'{name}.emb_layers.1')[:, :, None, None]
        h = convolve(F.silu(norm(h, f'{name}.out_layers.0')), f'{name}.out_layers.3')
        return h + (convolve(x, f'{name}.skip_connection') if x.shape != h.shape else x)

    def attention(x, name):
        number = decoder_heads if name.startswith('output_blocks') else heads
        b, c, d = len(x), x.shape[1], x.shape[1] // number
        y = norm(x.flatten(2), f'{name}.norm')
        qkv = F.conv1d(y, w[f'{name}.qkv.weight'], w[f'{name}.qkv.bias'])
        q, k, v = qkv.reshape(b * number, 3 * d, -1).split(d, dim=1)
        weights = torch.einsum('bct,bcs->bts', q * d**-0.25, k * d**-0.25).softmax(-1)
        y = torch.einsum('bts,bcs->bct', weights, v).reshape(b, c, -1)
        return x + F.conv1d(y, w[f'{name}.proj_out.weight'], w[f'{name}.proj_out.bias']).view_as(x)

    def block(x, name):
        j = 0
        while any(key.startswith(f'{name}.{j}.') for key in w):
            layer = f'{name}.{j}'
            if f'{layer}.in_layers.0.weight' in w:
                x = res_block(x, layer)
            elif f'{layer}.qkv.weight' in w:
                x = attention(x, layer)
            elif f'{layer}.op.weight' in w:
                x = convolve(x, f'{layer}.op', stride=2)
            elif f'{layer}.conv.weight' in w:
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
                x = convolve(x, f'{layer}.conv')
            else:
                x = convolve(x, layer)
            j += 1
        return x

    half = w['time_embed.0.weight'].shape[1] // 2
    angles = t[:, None] * torch.tensor([10000 ** (-i / half) for i in range(half)])
    emb = linear(torch.cat([angles.cos(), angles.sin()], 1), 'time_embed.0')
    emb = linear(F.silu(emb), 'time_embed.2')
    if class_ids is not None:
        emb = emb + w['label_emb.weight'][class_ids]
    for k in range(level):
        feature = convolve(F.leaky_relu(feature, 0.2), f'feature_layers.{2 * k + 1}', stride=2)

    h, skips, halved, i = z_t, [], 0, 0
    while any(key.startswith(f'input_blocks.{i}.') for key in w):
        if i == 0 and fusion == 'input_concat':
            h = torch.cat([h, feature], dim=1)
        h = block(h, f'input_blocks.{i}')
        is_down = f'input_blocks.{i}.0.op.weight' in w
        halved += is_down
        if fusion == 'concat' and i == 0:
            h = torch.cat([h, feature], dim=1)
        if fusion == 'add' and halved == level and (is_down if level else i == 0):
            h = h + feature
        skips.append(h)
        i += 1
    h = block(h, 'middle_block')
    for i in range(len(skips)):
        h = block(torch.cat([h, skips.pop()], dim=1), f'output_blocks.{i}')
    return convolve(F.silu(norm(h, 'out.0')), 'out.2')


def decoder_heads(options):
    chosen = options.get('num_heads_upsample', -1)
    return options.get('num_heads', 4) if chosen == -1 else chosen


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(in_channels=3, out_channels=6),
        dict(feature_channels=5, fusion_level=1),
        dict(feature_channels=5, fusion_level=2),
        dict(feature_channels=64, fusion='concat'),
        dict(feature_channels=3, fusion='input_concat'),
        dict(num_image_classes=4),
        dict(num_heads=1, attention_downsample=()),
        dict(num_heads=2),
        dict(num_heads_upsample=8),
        dict(num_heads=2, num_heads_upsample=1),
        dict(num_heads=1, num_heads_upsample=-1),
    ],
    ids=str,
)
@torch.no_grad()
def test_network_equals_the_straightforward_one(options):
    network = build(**options)
    z_t = torch.randn(6, network.in_channels, 12, 8)  # 3 generations of 2 images
    feature = torch.randn(2, options.get('feature_channels', 32), 12, 8)
    t = torch.tensor([0, 99, 50, 3, 7, 20])
    class_ids = torch.tensor([0, 3]) if 'num_image_classes' in options else None
    out = network(z_t, t, network.prepare(feature, class_ids))
    expected = straightforward(
        network.state_dict(),
        z_t,
        t,
        feature.repeat(3, 1, 1, 1),
        fusion=options.get('fusion', 'add'),
        level=options.get('fusion_level', 0),
        class_ids=None if class_ids is None else class_ids.repeat(3),
        heads=options.get('num_heads', 4),
        decoder_heads=decoder_heads(options),
    )
    assert expected.std() > 0.05
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('fusion', ['add', 'concat', 'input_concat'])
@torch.no_grad()
def test_generations_share_the_image(fusion):
    network = build(fusion=fusion)
    feature, z_t = torch.randn(2, 32, 8, 8), torch.randn(6, 1, 8, 8)
    t = torch.tensor([4])
    context = network.prepare(feature)
    assert len(context.feature) == 2
    out = network(z_t, t, context)
    for row in range(6):
        alone = network.prepare(feature[row % 2 : row % 2 + 1])
        expected = network(z_t[row : row + 1], t, alone)
        torch.testing.assert_close(out[row : row + 1], expected, rtol=1e-4, atol=1e-5)


def test_output_is_zero_at_first():
    network = SegDiffUNet(in_channels=1, out_channels=2, feature_channels=32, **TINY)
    context = network.prepare(torch.randn(2, 32, 8, 8))
    out = network(torch.randn(2, 1, 8, 8), torch.tensor([3]), context)
    assert out.shape == (2, 2, 8, 8)
    assert out.abs().max() == 0


@pytest.mark.parametrize(
    'options',
    [
        dict(scale_shift=True, dropout=0.1),
        dict(feature_channels=7, fusion_level=2),
        dict(feature_channels=64, fusion='concat'),
        dict(feature_channels=3, fusion='input_concat'),
    ],
    ids=str,
)
def test_every_parameter_is_trained(options):
    network = build(**options).train()
    feature = torch.randn(2, options.get('feature_channels', 32), 8, 8, requires_grad=True)
    out = network(torch.randn(2, 1, 8, 8), torch.tensor([4, 9]), network.prepare(feature))
    out.square().mean().backward()
    assert feature.grad.abs().sum() > 0
    untrained = [name for name, p in network.named_parameters() if p.grad is None]
    assert untrained == []


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('fusion', ['add', 'input_concat'])
def test_half_precision_autocast_trains(dtype, fusion):
    network = build(fusion=fusion)
    z_t, t = torch.randn(2, 1, 8, 8), torch.tensor([2, 98])
    feature = torch.randn(2, 32, 8, 8, requires_grad=True)
    full = network(z_t, t, network.prepare(feature))
    with torch.autocast('cpu', dtype=dtype):
        half = network(z_t, t, network.prepare(feature))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05 * full.std().item())
    half.square().mean().backward()
    assert feature.grad.isfinite().all() and feature.grad.abs().sum() > 0


def test_network_in_half_precision():
    network = build().to(torch.bfloat16)
    context = network.prepare(torch.randn(1, 32, 8, 8, dtype=torch.bfloat16))
    out = network(torch.randn(1, 1, 8, 8), torch.tensor([5]), context)
    assert out.dtype == torch.bfloat16


def test_sizes_off_the_stride_are_refused():
    network = build()
    assert network.stride == 4
    with pytest.raises(ValueError, match=r'multiples of 4, got 12x10: set .size_divisor=4.'):
        network.prepare(torch.randn(1, 32, 12, 10))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(model_channels=48, feature_channels=48), 'multiple of 32'),
        (dict(feature_channels=64), r"got 64 and 32: set the backbone's out_channels to 32"),
        (dict(fusion='multiply'), "one of .* got 'multiply'"),
        (dict(fusion_level=3), 'less than the 3 levels in channel_mult, got 3'),
        (dict(fusion='concat', fusion_level=1), "got 1 with fusion='concat'"),
        (dict(attention_downsample=(8, 16)), r'\[1, 2, 4\] of the 3 levels .* got \(8, 16\)'),
    ],
)
def test_impossible_networks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize(('classes', 'ids'), [(None, torch.tensor([0])), (3, None)])
def test_class_ids_and_classes_belong_together(classes, ids):
    network = build(num_image_classes=classes)
    with pytest.raises(ValueError, match='if and only if'):
        network.prepare(torch.randn(1, 32, 4, 4), ids)
