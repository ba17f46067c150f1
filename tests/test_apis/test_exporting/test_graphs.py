"""What the graphs of an export say of themselves."""

import pytest
import torch
from mmengine.config import ConfigDict

from mmdiffseg.apis.exporting.graphs import DrawGraph, Packing, StepGraph
from mmdiffseg.registry import MODELS


@pytest.mark.parametrize('coupling, picked', [('common', ('probability',)), (None, ())])
def test_only_drawn_classes_are_compared_leniently(coupling, picked):
    unet = dict(type='mmdiffseg.CCDMUNet', channel_mult=(1, 1), num_res_blocks=1)
    config = dict(
        type='mmdiffseg.PixelwiseHead',
        in_channels=3,
        num_classes=3,
        denoiser=dict(unet, attention_downsample=()),
        coupling=coupling,
    )
    head = MODELS.build(ConfigDict(config))
    draws = {} if coupling is None else dict(pixels=torch.rand(2, 1, 1))
    assert DrawGraph(head, Packing(torch.zeros(2, 3, 8, 8)), draws).picked == picked


@pytest.mark.parametrize('reencode, picked', [('argmax', ('x0',)), ('soft', ())])
def test_codes_of_the_likeliest_class_are_compared_leniently(reencode, picked):
    config = dict(
        type='mmdiffseg.DDPHead',
        in_channels=16,
        channels=16,
        num_classes=3,
        label_encoder=dict(type='mmdiffseg.ClassEmbeddingEncoder', reencode=reencode),
        denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1, num_heads=2),
    )
    head = MODELS.build(ConfigDict(config)).eval()
    packing = Packing(head.prepare(torch.randn(1, 16, 4, 4), [{}]))
    graph = StepGraph(head, packing, torch.randn(1, 16, 4, 4), torch.ones(1), classes=True)
    assert graph.picked == picked
