import gzip
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmdiffseg.models.backbones import ConvNeXt
from mmdiffseg.models.weights import load_exactly

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/ddp_to_mmdiffseg.py'
RELEASED = json.loads(gzip.decompress((ROOT / 'tests/data/ddp_released.json.gz').read_bytes()))
CONVERTER = runpy.run_path(str(SCRIPT))


def released_weights(name):
    """Names and shapes of a released checkpoint; the values take no space, on disk neither."""
    shapes = RELEASED[name]['state_dict']
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
    CONVERTER['main']()


def refused(monkeypatch, capsys, *arguments):
    """The message with which the command line is refused."""
    with pytest.raises(SystemExit) as exit:
        run(monkeypatch, *arguments)
    assert exit.value.code != 0
    return capsys.readouterr().err


def mmcls_convnext(weights, x):
    """Forward pass of the authors' backbone, over weights in its own names."""

    def norm(x, name):  # over channels, whichever axis is last
        return F.layer_norm(
            x, x.shape[-1:], weights[f'{name}.weight'], weights[f'{name}.bias'], 1e-6
        )

    def norm2d(x, name):
        return norm(x.movedim(1, -1), name).movedim(-1, 1)

    def parameters(name):
        return weights[f'{name}.weight'], weights[f'{name}.bias']

    outputs = []
    for i in range(4):
        if i == 0:
            x = F.conv2d(x, *parameters('downsample_layers.0.0'), stride=4)
            x = norm2d(x, 'downsample_layers.0.1')
        else:
            x = norm2d(x, f'downsample_layers.{i}.0')
            x = F.conv2d(x, *parameters(f'downsample_layers.{i}.1'), stride=2)
        j = 0
        while f'stages.{i}.{j}.gamma' in weights:
            block = f'stages.{i}.{j}'
            y = F.conv2d(x, *parameters(f'{block}.depthwise_conv'), padding=3, groups=x.shape[1])
            y = norm(y.movedim(1, -1), f'{block}.norm')
            y = F.gelu(F.linear(y, *parameters(f'{block}.pointwise_conv1')))
            y = F.linear(y, *parameters(f'{block}.pointwise_conv2')) * weights[f'{block}.gamma']
            x = x + y.movedim(-1, 1)
            j += 1
        outputs.append(norm2d(x, f'norm{i}'))
    return outputs


@torch.no_grad()
def test_convnext_computes_the_same_under_new_names():
    torch.manual_seed(0)
    depths, dims = (1, 2, 2, 1), (8, 12, 16, 20)
    shapes = RELEASED['ddp_convnext-t_cityscapes']['state_dict']
    backbone = ConvNeXt(depths=depths, dims=dims)
    ours = {f'backbone.{name}': value.shape for name, value in backbone.state_dict().items()}
    theirs = {}
    for name in shapes:
        if (renamed := CONVERTER['rename'](name)) in ours:
            theirs[name] = torch.randn(ours[renamed]) * 0.3
    assert len(theirs) == len(ours)
    converted = CONVERTER['convert'](theirs)
    load_exactly(
        backbone, {k.removeprefix('backbone.'): v for k, v in converted.items()}, source='test'
    )
    image = torch.randn(2, 3, 64, 96)
    expected = mmcls_convnext({k.removeprefix('backbone.'): v for k, v in theirs.items()}, image)
    for feature, reference in zip(backbone(image), expected, strict=True):
        torch.testing.assert_close(feature, reference, atol=1e-5, rtol=1e-5)


def test_released_file(tmp_path, monkeypatch, capsys):
    weights = released_weights('ddp_swin-t_ade20k')
    marked = torch.arange(151 * 256.0).view(151, 256)
    weights['embedding_table.weight'] = marked
    weights['ema_embedding_table_weight'] = torch.zeros(1)
    torch.save(dict(state_dict=weights, optimizer=dict(state={})), tmp_path / 'theirs.pth')
    run(monkeypatch, tmp_path / 'theirs.pth', tmp_path / 'new' / 'ours.pth')
    assert '342 tensors of ddp_swin-t_ade20k written' in capsys.readouterr().out

    checkpoint = torch.load(tmp_path / 'new' / 'ours.pth', weights_only=True)
    assert checkpoint.keys() == {'state_dict', 'meta'}
    table = checkpoint['state_dict']['decode_head.label_encoder.embedding_table.weight']
    assert torch.equal(table, marked)
    meta = checkpoint['meta']
    assert len(meta['dataset_meta']['classes']) == len(meta['dataset_meta']['palette']) == 150
    assert meta['label_encoder'] == dict(type='mmdiffseg.ClassEmbeddingEncoder', scale=0.01)
    config = Config.fromstring(meta['cfg'], '.py')
    init_default_scope('mmseg')
    model = MODELS.build(config.model)
    model.load_state_dict(checkpoint['state_dict'], strict=True)


def test_other_classes_need_a_config(tmp_path, monkeypatch, capsys):
    weights = released_weights('ddp_swin-t_ade20k')
    for name in ('decode_head.conv_seg', 'auxiliary_head.conv_seg'):
        weights[f'{name}.weight'] = weights[f'{name}.weight'][:11]
        weights[f'{name}.bias'] = weights[f'{name}.bias'][:11]
    weights['embedding_table.weight'] = weights['embedding_table.weight'][:12]
    torch.save(dict(state_dict=weights), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'no released experiment has 11 classes and a swin backbone 96 wide' in message
    config = ROOT / 'configs/ddp/ddp_swin-t_camvid.py'
    run(monkeypatch, tmp_path / 'theirs.pth', tmp_path / 'ours.pth', '--config', config)
    meta = torch.load(tmp_path / 'ours.pth', weights_only=True)['meta']
    assert meta['dataset_meta']['classes'][0] == 'sky'


def test_foreign_names_are_refused(tmp_path, monkeypatch, capsys):
    weights = released_weights('ddp_convnext-t_cityscapes')
    weights['decode_head.extra.weight'] = torch.zeros(1)
    del weights['transform.conv.bias']
    torch.save(dict(state_dict=weights), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert '1 missing (decode_head.denoiser.transform.conv.bias)' in message
    assert '1 unknown (decode_head.extra.weight)' in message
    assert not (tmp_path / 'ours.pth').exists()


def test_other_models_are_refused(tmp_path, monkeypatch, capsys):
    torch.save(dict(state_dict={'layer.weight': torch.zeros(1)}), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'not a DDP segmentation checkpoint, it has no embedding_table.weight' in message


def test_nothing_is_overwritten(tmp_path, monkeypatch, capsys):
    (tmp_path / 'ours.pth').touch()
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'exists and is not overwritten' in message
    assert (tmp_path / 'ours.pth').stat().st_size == 0


def test_a_model_of_the_depth_code(tmp_path, monkeypatch, capsys):
    file = ROOT / 'tests/data/ddp_depth_released.json.gz'
    shapes = json.loads(gzip.decompress(file.read_bytes()))['ddp_swin-t_nyu-depth']['state_dict']
    weights = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    torch.save(dict(state_dict=weights), tmp_path / 'theirs.pth')
    message = refused(monkeypatch, capsys, tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert 'looks alike for KITTI and NYU: name its config with --config' in message

    config = ROOT / 'configs/ddp/ddp_swin-t_nyu-depth.py'
    run(monkeypatch, tmp_path / 'theirs.pth', tmp_path / 'ours.pth', '--config', config)
    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    # the config that comes with the weights builds the decoder without time, like them
    config = Config.fromstring(checkpoint['meta']['cfg'], '.py')
    init_default_scope('mmseg')
    MODELS.build(config.model).load_state_dict(checkpoint['state_dict'], strict=True)
