import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/ddp_bev_to_mmdiffseg.py'
CONVERTER = runpy.run_path(str(SCRIPT))


def released_weights(channels, time_modulation):
    """Names and shapes as the released BEV code gives them; the values take no space."""
    shapes = {
        'encoders.camera.backbone.patch_embed.projection.weight': (96, 3, 4, 4),
        'encoders.camera.vtransform.frustum': (118, 32, 88, 3),
        'decoder.neck.fuse.weight': (256, 3),
        'heads.map.conv_seg.weight': (6, 256, 1, 1),
        'heads.map.conv_seg.bias': (6,),
        'embedding_table.weight': (7, 256),
        'transform.conv.weight': (256, 256 + channels, 1, 1),
        'transform.conv.bias': (256,),
        'time_mlp.0.weights': (8,),
        'time_mlp.1.weight': (1024, 17),
        'time_mlp.1.bias': (1024,),
        'time_mlp.3.weight': (1024, 1024),
        'time_mlp.3.bias': (1024,),
    }
    linear = {
        'attentions.0.sampling_offsets': (64, 256),
        'attentions.0.attention_weights': (32, 256),
        'attentions.0.value_proj': (256, 256),
        'attentions.0.output_proj': (256, 256),
        'ffns.0.layers.0.0': (1024, 256),
        'ffns.0.layers.1': (256, 1024),
    }
    if time_modulation:
        linear['time_mlp.1'] = (512, 1024)
    for i in range(5):
        layer = f'heads.map.encoder.layers.{i}'
        for name, shape in linear.items():
            shapes[f'{layer}.{name}.weight'] = shape
            shapes[f'{layer}.{name}.bias'] = shape[:1]
        for name in ('norms.0.weight', 'norms.0.bias', 'norms.1.weight', 'norms.1.bias'):
            shapes[f'{layer}.{name}'] = (256,)
    if channels == 512:
        shapes['encoders.lidar.backbone.conv_input.0.weight'] = (16, 3, 3, 3, 5)
        shapes['fuser.0.weight'] = (256, 336, 3, 3)
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
    CONVERTER['main']()


def refused(monkeypatch, capsys, *arguments):
    with pytest.raises(SystemExit) as exit:
        run(monkeypatch, *arguments)
    assert exit.value.code != 0
    return capsys.readouterr().err


@pytest.mark.parametrize(
    'channels, time_modulation, name, words',
    [
        (256, False, 'camera', 'without time modulation; left for BEVFusion: 2 of encoders.camera'),
        (256, True, 'camera', 'with time modulation; left for BEVFusion: 2 of encoders.camera'),
        (
            512,
            False,
            'fusion',
            'without time modulation; left for BEVFusion: 2 of encoders.camera, 1 of decoder, '
            '1 of encoders.lidar, 1 of fuser',
        ),
    ],
)
def test_the_head_is_taken_out(
    channels, time_modulation, name, words, tmp_path, monkeypatch, capsys
):
    weights = released_weights(channels, time_modulation)
    marked = torch.arange(7 * 256.0).view(7, 256)
    weights['embedding_table.weight'] = marked
    torch.save(dict(state_dict=weights, optimizer=dict(state={})), tmp_path / 'theirs.pth')
    run(monkeypatch, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    said = capsys.readouterr().out
    assert f'tensors of ddp_bevfusion-{name}_nuscenes-map written' in said and words in said

    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    assert checkpoint.keys() == {'state_dict', 'meta'}
    table = checkpoint['state_dict']['decode_head.label_encoder.embedding_table.weight']
    assert torch.equal(table, marked)
    meta = checkpoint['meta']
    assert meta['dataset_meta']['classes'][-1] == 'divider'
    assert meta['label_encoder'] == dict(type='mmdiffseg.MultiLabelEncoder', scale=0.01)
    config = Config.fromstring(meta['cfg'], '.py')
    assert config.model.decode_head.denoiser.time_modulation == time_modulation
    init_default_scope('mmseg')
    MODELS.build(config.model).load_state_dict(checkpoint['state_dict'], strict=True)


def test_names_of_neither_part_are_refused(tmp_path, monkeypatch, capsys):
    weights = released_weights(256, False)
    weights['heads.object.weight'] = torch.zeros(1)
    del weights['heads.map.encoder.layers.3.norms.1.bias']
    torch.save(dict(state_dict=weights), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert '1 missing (decode_head.denoiser.encoder.layers.3.norms.1.bias)' in message
    assert '1 unknown (heads.object.weight)' in message
    assert not (tmp_path / 'ours.pth').exists()


def test_other_models_are_refused(tmp_path, monkeypatch, capsys):
    torch.save(dict(state_dict={'decoder.weight': torch.zeros(1)}), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'is not a DDP checkpoint for BEV maps, it lacks embedding_table' in message
    torch.save(dict(state_dict=released_weights(80, False)), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'feature of 80 channels, but 256 or 512: name the config' in message
