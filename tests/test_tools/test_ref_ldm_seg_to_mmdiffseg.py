import gzip
import json
import runpy
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

diffusers = pytest.importorskip('diffusers')
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/ref_ldm_seg_to_mmdiffseg.py'
RELEASED = json.loads(
    gzip.decompress((ROOT / 'tests/data/ref_ldm_seg_released.json.gz').read_bytes())
)


@pytest.fixture
def converter(monkeypatch):
    """The converter, whose released network is a tiny one of two layers."""
    module = runpy.run_path(str(SCRIPT))

    class Tiny(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.conv_in = nn.Conv2d(weights['conv_in.weight'].shape[1], 6, 3, device='meta')
            self.encoder_hid_proj = nn.Linear(5, 4, device='meta')

    monkeypatch.setitem(module['convert_file'].__globals__, 'released_unet', Tiny)
    return module


def weights(channels, **changes):
    tiny = {
        'conv_in.weight': torch.randn(6, channels, 3, 3),
        'conv_in.bias': torch.randn(6),
        'encoder_hid_proj.weight': torch.randn(4, 5),
        'encoder_hid_proj.bias': torch.randn(4),
    }
    return {name: value.bfloat16() for name, value in (tiny | changes).items()}


def write_run(folder, state, **others):
    path = folder / 'pytorch_model/mp_rank_00_model_states.pt'
    path.parent.mkdir(parents=True)
    torch.save(dict(module=state, dp_world_size=2, **others), path)
    return folder


@pytest.mark.parametrize(('channels', 'mask_alpha'), [(4, 0.0), (8, 0.4)])
def test_folder_of_deepspeed(converter, tmp_path, monkeypatch, capsys, channels, mask_alpha):
    state = {f'module.{name}': value for name, value in weights(channels).items()}
    run = write_run(tmp_path / 'run', state)
    monkeypatch.setattr(sys, 'argv', ['convert', str(run), str(tmp_path / 'ours.pth')])
    converter['main']()
    name = f'ref_ldm_seg_ldis-{"1" if channels == 4 else "n"}'
    assert f'5 tensors of {name} written' in capsys.readouterr().out
    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    ours = checkpoint['state_dict']
    assert torch.equal(ours['unet.conv_in.weight'], state['module.conv_in.weight'].float())
    assert {value.dtype for value in ours.values()} == {torch.float32}
    assert ours['pseudo_mask.settings'].tolist() == pytest.approx([-1, 1, mask_alpha])
    meta = checkpoint['meta']
    assert meta['label_encoder']['mask_alpha'] == mask_alpha
    assert len(meta['dataset_meta']['classes']) == 2
    kind = 'OneStep' if channels == 4 else 'MultiStep'
    assert Config.fromstring(meta['cfg'], '.py').model.type == f'mmdiffseg.RefLDMSeg{kind}'


@pytest.mark.parametrize('name', ['ldis1_unet', 'ldisn_unet'])
def test_published_networks_fit(name):
    state = {key: torch.empty(shape, device='meta') for key, shape in RELEASED[name].items()}
    unet = runpy.run_path(str(SCRIPT))['released_unet'](state)
    shapes = {key: list(value.shape) for key, value in unet.state_dict().items()}
    assert shapes == RELEASED[name]


def test_more_than_tensors_needs_trust(converter, tmp_path):
    run = write_run(tmp_path / 'run', weights(4), args=Namespace(lr=1e-5))
    with pytest.raises(ValueError, match=r'allow that with `trust=True` \(`--trust`\)'):
        converter['convert_file'](str(run), tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()
    converter['convert_file'](str(run), tmp_path / 'ours.pth', trust=True)
    assert (tmp_path / 'ours.pth').exists()


def test_wrong_files_are_refused(converter, tmp_path):
    for name, state, message in [
        ('sd', {'conv_in.weight': torch.zeros(6, 4, 3, 3)}, 'not an LDIS checkpoint'),
        ('more', weights(4, extra=torch.zeros(1)), r'1 unknown \(extra\)'),
        (
            'other',
            weights(4, **{'conv_in.bias': torch.zeros(7)}),
            r'conv_in.bias \(7,\) instead of',
        ),
    ]:
        run = write_run(tmp_path / name, state)
        with pytest.raises(ValueError, match=message):
            converter['convert_file'](str(run), tmp_path / 'ours.pth')
    torch.save(weights(4), tmp_path / 'bare.pt')
    with pytest.raises(ValueError, match='not written by DeepSpeed'):
        converter['convert_file'](str(tmp_path / 'bare.pt'), tmp_path / 'ours.pth')
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        converter['convert_file'](str(tmp_path), tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()
