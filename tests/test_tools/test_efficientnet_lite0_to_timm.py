import runpy
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

PATH = str(Path(__file__).parents[2] / 'tools/model_converters/efficientnet_lite0_to_timm.py')
CONVERTER = runpy.run_path(PATH)


def wheel_names(model):
    """The state dict of timm's model in the names of the wheel: an independent renaming."""
    renamed, number = {}, {}
    for name, value in model.state_dict().items():
        parts = name.split('.')
        if parts[0] == 'blocks':
            place = (int(parts[1]), int(parts[2]))
            number.setdefault(place, len(number))
            block = model.blocks[place[0]][place[1]]
            order = [n for n, _ in block.named_children() if n.startswith(('conv', 'bn'))]
            kind = getattr(block, parts[3])
            if parts[3].startswith('conv'):
                layer = (
                    '_depthwise_conv'
                    if kind.groups > 1
                    else '_expand_conv'
                    if order.index(parts[3]) == 0
                    else '_project_conv'
                )
            else:  # counted from 1 in timm; from 0 in the wheel, where a block expands
                layer = f'_bn{int(parts[3][2:]) - (len(order) == 6)}'
            renamed['.'.join([f'_blocks.{number[place]}', layer, *parts[4:]])] = value
        else:
            outer = dict(
                conv_stem='_conv_stem',
                bn1='_bn0',
                conv_head='_conv_head',
                bn2='_bn1',
                classifier='_fc',
            )
            renamed['.'.join([outer[parts[0]], *parts[1:]])] = value
    return renamed


def test_every_weight_arrives(tmp_path, monkeypatch):
    model = timm.create_model('tf_efficientnet_lite0', pretrained=False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(wheel_names(model), tmp_path / 'src.pth')
    monkeypatch.setattr(
        sys, 'argv', ['x', str(tmp_path / 'src.pth'), str(tmp_path / 'dst.safetensors')]
    )
    CONVERTER['main']()
    converted = load_file(tmp_path / 'dst.safetensors')
    own = model.state_dict()
    assert converted.keys() == own.keys()
    assert all(torch.equal(converted[name], own[name]) for name in own)
    with pytest.raises(ValueError, match='not overwritten'):
        CONVERTER['main']()
