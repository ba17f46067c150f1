"""What the graphs of an export say of themselves."""

import pytest
import torch
from mmengine.config import ConfigDict

from mmdiffseg.apis.exporting.graphs import DrawGraph, Packing
from mmdiffseg.registry import MODELS


@pytest.mark.parametrize('coupling, drawn', [('common', ('probability',)), (None, ())])
def test_only_drawn_classes_are_compared_leniently(coupling, drawn):
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
    assert DrawGraph(head, Packing(torch.zeros(2, 3, 8, 8)), draws).drawn == drawn
