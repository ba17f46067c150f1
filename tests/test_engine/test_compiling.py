"""Compiled models: one graph for all steps."""

import shutil

import pytest
import torch
from mmengine.config import ConfigDict
from torch._dynamo.testing import CompileCounter

from mmdiffseg.engine.compiling import compile_parts
from mmdiffseg.registry import MODELS

CCDM = dict(
    type='mmdiffseg.CCDMUNet', channel_mult=(1, 1), num_res_blocks=1, attention_downsample=(2,)
)
DDP = dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1, num_heads=4)
HEADS = dict(
    flow=dict(type='mmdiffseg.EncodedMapHead', num_classes=3, denoiser=CCDM),
    ddp=dict(type='mmdiffseg.DDPHead', num_classes=5, channels=16, in_index=0, denoiser=DDP),
)


def build(name):
    host = 'StochasticSegmentor' if name == 'flow' else 'DiffusionEncoderDecoder'
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type=f'mmdiffseg.{host}',
            backbone=dict(type='mmdiffseg.IdentityBackbone'),
            decode_head=dict(HEADS[name], in_channels=3, generations=2),
            test_cfg=dict(mode='whole'),
        )
    ).eval()
    for parameter in model.decode_head.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def logits(model, steps):
    model.decode_head.steps = steps
    image = torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    return model.predict(image)[0].seg_logits.data


@pytest.mark.parametrize('name', HEADS)
def test_a_denoiser_is_one_graph_for_all_steps(name):
    torch._dynamo.reset()
    model = build(name)
    expected = logits(model, 4)
    keys = list(model.state_dict())
    counter = CompileCounter()
    model.decode_head.denoiser.compile(fullgraph=True, backend=counter)
    torch.testing.assert_close(logits(model, 4), expected)
    assert counter.frame_count == 1
    logits(model, 7)
    assert counter.frame_count == 1  # no step and no step count is compiled again
    assert list(model.state_dict()) == keys


def test_all_parts_are_compiled():
    torch._dynamo.reset()
    model = build('flow')
    expected = logits(model, 2)
    counter = CompileCounter()
    compile_parts(model, backend=counter)
    torch.testing.assert_close(logits(model, 2), expected)
    assert counter.frame_count >= 1


@pytest.mark.recipe
@pytest.mark.skipif(shutil.which('g++') is None, reason='needs a C++ compiler')
def test_compiled_code_gives_the_same_logits():
    torch._dynamo.reset()
    model = build('flow')
    expected = logits(model, 2)
    torch.testing.assert_close(logits(compile_parts(model), 2), expected, atol=1e-4, rtol=1e-4)


def test_a_model_without_a_decode_head_is_refused():
    with pytest.raises(ValueError, match='Linear has no decode head to compile'):
        compile_parts(torch.nn.Linear(2, 2))
