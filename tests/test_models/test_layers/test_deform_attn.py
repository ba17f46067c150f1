import importlib.util
import math

import pytest
import torch

import mmdiffseg  # noqa: F401  (lets mmcv.ops import without compiled operators)
from mmdiffseg.models.layers import deform_attn
from mmdiffseg.models.layers.deform_attn import (
    MultiScaleDeformableAttention,
    deform_attn_embedding_bag,
    deform_attn_gather,
    deform_attn_grid_sample,
    multi_scale_deformable_attn,
    set_deform_attn_impl,
)

TORCH_IMPLEMENTATIONS = [deform_attn_embedding_bag, deform_attn_grid_sample, deform_attn_gather]
LEVELS = [
    pytest.param([(5, 7)], id='one odd level'),
    pytest.param([(6, 4), (3, 5), (1, 1)], id='three levels, one of a single pixel'),
]


@pytest.fixture(autouse=True)
def _restore_choice(monkeypatch):
    monkeypatch.setattr(deform_attn, '_choice', 'auto')


def random_inputs(shapes, *, batch=2, queries=6, heads=3, points=4, dtype=torch.float64):
    """Values, locations from inside to far outside the maps, and weights."""
    generator = torch.Generator().manual_seed(0)
    tokens, levels = sum(h * w for h, w in shapes), len(shapes)
    value = torch.randn(batch, tokens, heads, 5, generator=generator)
    locations = torch.rand(batch, queries, heads, levels, points, 2, generator=generator) * 2 - 0.5
    locations[:, 0] = locations[:, 0] * 1e6 - 5e5
    weights = torch.rand(batch, queries, heads, levels, points, generator=generator)
    return value.to(dtype), locations.to(dtype), weights.to(dtype)


def loop_reference(value, shapes, locations, weights):
    """Deformable attention as its definition reads, one pixel after another."""
    batch, queries, heads, levels, points, _ = locations.shape
    output = torch.zeros(batch, queries, heads, value.shape[-1], dtype=value.dtype)
    for b, n, a, level, p in torch.cartesian_prod(
        *(torch.arange(k) for k in (batch, queries, heads, levels, points))
    ).tolist():
        h, w = shapes[level]
        start = sum(rows * columns for rows, columns in shapes[:level])
        x, y = locations[b, n, a, level, p].tolist()
        x, y = x * w - 0.5, y * h - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < h and 0 <= column < w:
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    pixel = value[b, start + row * w + column, a]
                    output[b, n, a] += share * weights[b, n, a, level, p] * pixel
    return output.flatten(2)


@pytest.mark.parametrize('shapes', LEVELS)
@pytest.mark.parametrize('implementation', TORCH_IMPLEMENTATIONS)
def test_equals_the_definition(implementation, shapes):
    value, locations, weights = random_inputs(shapes)
    expected = loop_reference(value, shapes, locations, weights)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(implementation(value, shapes, locations, weights), expected)


@pytest.mark.parametrize('shapes', LEVELS)
def test_gradients_of_the_implementations_agree(shapes):
    inputs = [tensor.requires_grad_() for tensor in random_inputs(shapes)]
    gradients = []
    for implementation in TORCH_IMPLEMENTATIONS:
        output = implementation(inputs[0], shapes, *inputs[1:])
        gradients.append(torch.autograd.grad(output.square().sum(), inputs))
    known = gradients[TORCH_IMPLEMENTATIONS.index(deform_attn_grid_sample)]
    for ours in gradients:
        for of_ours, well_known in zip(ours, known, strict=True):
            assert well_known.abs().max() > 0
            torch.testing.assert_close(of_ours, well_known)


@pytest.mark.parametrize('implementation', TORCH_IMPLEMENTATIONS)
def test_gradcheck(implementation):
    shapes = [(2, 3), (1, 2)]
    inputs = [
        tensor.requires_grad_() for tensor in random_inputs(shapes, batch=2, queries=3, heads=2)
    ]
    inputs[1].data[:, 0] = 0.4  # the far away locations would defeat the finite differences
    assert torch.autograd.gradcheck(lambda v, *rest: implementation(v, shapes, *rest), inputs)


def test_locations_on_pixel_centres_have_the_gradient_of_grid_sample():
    # the initial offsets are whole pixels: a zero gradient there would stop learning at once
    shapes = [(4, 8)]
    value, _, weights = random_inputs(shapes, points=2)
    y, x = torch.tensor([-1, 0, 1, 2, 3, 4]), torch.tensor([8, 7, 3, 2, 0, -1])
    centres = torch.stack([(x + 0.5) / 8, (y + 0.5) / 4], dim=-1).double()
    locations = centres[None, :, None, None, None].expand(2, 6, 3, 1, 2, 2).requires_grad_()
    ours, well_known = (
        torch.autograd.grad(f(value, shapes, locations, weights).square().sum(), locations)[0]
        for f in (deform_attn_embedding_bag, deform_attn_grid_sample)
    )
    inside = (x >= 0) & (x < 8) & (y >= 0) & (y < 4)
    assert well_known[:, inside].abs().min() > 0
    torch.testing.assert_close(ours[:, inside], well_known[:, inside])


@pytest.mark.parametrize('pixels_at_once', [1, 500, 2**19])
def test_parts_without_gradients_equal_the_whole(monkeypatch, pixels_at_once):
    shapes = [(6, 4), (3, 5)]
    value, locations, weights = random_inputs(shapes, queries=11)
    whole = deform_attn_embedding_bag(value, shapes, locations, weights)
    monkeypatch.setattr(deform_attn, '_PIXELS_AT_ONCE', pixels_at_once)
    with torch.no_grad():
        parts = deform_attn_embedding_bag(value, shapes, locations, weights)
    torch.testing.assert_close(parts, whole, rtol=0, atol=0)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 3e38])
def test_a_broken_location_stays_with_its_query(bad):
    shapes = [(5, 7)]
    value, locations, weights = random_inputs(shapes, dtype=torch.float32)
    expected = deform_attn_embedding_bag(value, shapes, locations, weights)
    locations[0, 3, 1, 0, 2] = bad
    output = deform_attn_embedding_bag(value, shapes, locations, weights)
    changed = torch.zeros_like(output, dtype=torch.bool)
    changed[0, 3, 5:10] = True  # the channels of head 1
    torch.testing.assert_close(output[~changed], expected[~changed], rtol=0, atol=0)
    assert output[changed].isnan().all() == math.isnan(bad)


@pytest.fixture
def attention():
    torch.manual_seed(0)
    module = MultiScaleDeformableAttention(embed_dims=32, num_heads=4, num_levels=3, num_points=2)
    with torch.no_grad():
        for layer in (module.sampling_offsets, module.attention_weights):
            layer.weight.normal_(std=0.2)
    return module


SHAPES = [(6, 5), (3, 4), (2, 2)]


def random_tokens(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(2, 9, 32, generator=generator).to(dtype)
    value = torch.randn(2, 46, 32, generator=generator).to(dtype)
    return query, value, torch.rand(2, 9, 3, 2, generator=generator)


@pytest.mark.parametrize('name', ['embedding_bag', 'grid_sample'])
def test_module_equals_the_one_of_mmcv(attention, name):
    from mmcv.ops import MultiScaleDeformableAttention as MMCVAttention

    set_deform_attn_impl(name)
    theirs = MMCVAttention(32, num_heads=4, num_levels=3, num_points=2, batch_first=True)
    theirs.load_state_dict(attention.state_dict(), strict=True)
    query, value, references = random_tokens()
    expected = theirs.eval()(
        query,
        value=value,
        identity=torch.zeros_like(query),
        reference_points=references,
        spatial_shapes=torch.tensor(SHAPES),
    )
    output = attention(query, value, references, SHAPES)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)


def test_initial_values_equal_those_of_mmcv():
    from mmcv.ops import MultiScaleDeformableAttention as MMCVAttention

    options = dict(embed_dims=32, num_heads=8, num_levels=3, num_points=4)
    ours, theirs = MultiScaleDeformableAttention(**options), MMCVAttention(**options)
    for name in ('sampling_offsets', 'attention_weights'):
        for key in ('weight', 'bias'):
            expected = getattr(getattr(theirs, name), key)
            torch.testing.assert_close(getattr(getattr(ours, name), key), expected)
    for name in ('value_proj', 'output_proj'):
        weight, bias = getattr(ours, name).weight, getattr(ours, name).bias
        bound = math.sqrt(6 / (32 + 32))  # Xavier uniform
        assert 0.95 * bound < weight.abs().max() <= bound
        assert not bias.any()


def test_one_reference_for_the_whole_batch(attention):
    query, value, references = random_tokens()
    shared = attention(query, value, references[:1], SHAPES)
    repeated = attention(query, value, references[:1].expand(2, -1, -1, -1), SHAPES)
    torch.testing.assert_close(shared, repeated, rtol=0, atol=0)


@pytest.mark.parametrize('name', ['embedding_bag', 'grid_sample'])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('how', ['autocast', 'cast'])
def test_half_precision(attention, name, dtype, how):
    set_deform_attn_impl(name)
    query, value, references = random_tokens()
    expected = attention(query, value, references, SHAPES)
    if how == 'cast':
        attention, query, value = attention.to(dtype), query.to(dtype), value.to(dtype)
    value.requires_grad_()
    with torch.autocast('cpu', dtype=dtype, enabled=how == 'autocast'):
        output = attention(query, value, references, SHAPES)
    assert output.dtype == dtype
    torch.testing.assert_close(output.float(), expected, rtol=0.05, atol=0.03)
    output.float().square().sum().backward()
    gradients = [value.grad, *(parameter.grad for parameter in attention.parameters())]
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize('name', ['embedding_bag', 'grid_sample'])
def test_the_switch_chooses(monkeypatch, name):
    called = []
    monkeypatch.setitem(
        deform_attn.IMPLEMENTATIONS,
        name,
        lambda *args: called.append(name) or deform_attn_grid_sample(*args),
    )
    previous = set_deform_attn_impl(name)
    shapes = [(5, 7)]
    value, locations, weights = random_inputs(shapes)
    multi_scale_deformable_attn(value, shapes, locations, weights)
    assert (previous, called) == ('auto', [name])
    assert set_deform_attn_impl('auto') == name


@pytest.mark.parametrize(
    'head_dim, grad, expected',
    [(16, True, 'embedding_bag'), (8, True, 'grid_sample'), (8, False, 'embedding_bag')],
)
def test_auto_on_a_cpu(head_dim, grad, expected):
    with torch.set_grad_enabled(grad):
        assert deform_attn._auto(torch.zeros(1, 1, 1, head_dim)) == expected


def test_the_environment_chooses(monkeypatch):
    def choice():
        spec = importlib.util.spec_from_file_location('second_copy', deform_attn.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module._choice

    monkeypatch.delenv('MMDIFFSEG_DEFORM_ATTN', raising=False)
    assert choice() == 'auto'
    monkeypatch.setenv('MMDIFFSEG_DEFORM_ATTN', 'grid_sample')
    assert choice() == 'grid_sample'
    monkeypatch.setenv('MMDIFFSEG_DEFORM_ATTN', 'triton')
    with pytest.raises(ValueError, match="got 'triton'"):
        choice()


def test_the_compiled_operator_is_refused_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(deform_attn, 'has_cuda_op', lambda: False)
    with pytest.raises(RuntimeError, match='without compiled CUDA operators'):
        set_deform_attn_impl('compiled')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('name', ['embedding_bag', 'grid_sample', 'compiled'])
@pytest.mark.parametrize('shapes', LEVELS)
def test_implementations_agree_on_a_gpu(name, shapes):
    if name == 'compiled' and not deform_attn.has_cuda_op():
        pytest.skip('mmcv has no compiled operators')
    inputs = [tensor.float().requires_grad_() for tensor in random_inputs(shapes)]
    on_gpu = [tensor.detach().cuda().requires_grad_() for tensor in inputs]
    expected = multi_scale_deformable_attn(inputs[0], shapes, *inputs[1:])
    set_deform_attn_impl(name)
    output = multi_scale_deformable_attn(on_gpu[0], shapes, *on_gpu[1:])
    torch.testing.assert_close(output.cpu(), expected, rtol=1e-4, atol=1e-4)
    gradients = torch.autograd.grad(output.square().sum(), on_gpu)
    expected = torch.autograd.grad(expected.square().sum(), inputs)
    for ours, well_known in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours.cpu(), well_known, rtol=1e-3, atol=1e-3)


def test_impossible_sizes_are_refused(attention):
    query, value, references = random_tokens()
    with pytest.raises(ValueError, match='expected 3 levels'):
        attention(query, value, references, SHAPES[:2])
    with pytest.raises(ValueError, match='do not add up to 46 value tokens'):
        attention(query, value, references, [(6, 5), (3, 4), (2, 3)])
    with pytest.raises(ValueError, match='multiple of num_heads, got 30 and 4'):
        MultiScaleDeformableAttention(embed_dims=30, num_heads=4)
