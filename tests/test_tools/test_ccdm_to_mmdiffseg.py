import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/ccdm_to_mmdiffseg.py'
CONVERTER = runpy.run_path(str(SCRIPT))
PREFIX = 'decode_head.denoiser.'


def released(name):
    """Weights of a released network by their names there, and the names and shapes of ours."""
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(ROOT / f'configs/stochastic/{name}.py').model)
    ours = model.state_dict()
    return {key.removeprefix(PREFIX): torch.randn_like(value) for key, value in ours.items()}


def save(path, weights):
    """A checkpoint as the authors' code writes it: the average is what counts."""
    current = {name: torch.zeros_like(value) for name, value in weights.items()}
    states = dict(optimizer=dict(state={}, param_groups=[]), engine=dict(iteration=7))
    torch.save(dict(model=current, average_model=weights, **states), path)
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
    CONVERTER['main']()


@pytest.mark.parametrize(
    'name, classes, tensors',
    [('ccdm_lidc', ('background', 'nodule'), 398), ('ccdm_lidc_9m', ('background', 'nodule'), 398)],
)
def test_the_average_of_a_released_network_arrives(
    name, classes, tensors, tmp_path, monkeypatch, capsys
):
    weights = released(name)
    run(monkeypatch, save(tmp_path / 'theirs.pt', weights), tmp_path / 'ours.pth')
    assert f'{tensors} tensors of {name} written to' in capsys.readouterr().out
    ours = torch.load(tmp_path / 'ours.pth')
    assert {PREFIX + key for key in weights} == ours['state_dict'].keys()
    for key, value in weights.items():
        assert torch.equal(ours['state_dict'][PREFIX + key], value), key
    assert ours['meta']['dataset_meta']['classes'] == classes
    config = Config.fromstring(ours['meta']['cfg'], '.py')
    schedule = config.model.decode_head.noise_schedule.schedule
    assert schedule == dict(type='mmdiffseg.CCDMCosineBetas', num_timesteps=250)


def test_the_widths_tell_the_network():
    init_default_scope('mmseg')
    for name in ('ccdm_lidc', 'ccdm_lidc_9m', 'ccdm_cityscapes', 'ccdm_cityscapes_dino'):
        config = Config.fromfile(ROOT / f'configs/stochastic/{name}.py')
        with torch.device('meta'):
            weights = MODELS.build(config.model).decode_head.denoiser.state_dict()
        assert CONVERTER['released_config'](weights, 'a.pt').stem == name


def test_the_frozen_features_come_from_timm(tmp_path, monkeypatch):
    config = Config.fromfile(ROOT / 'configs/stochastic/ccdm_cityscapes_dino.py')
    config.model.decode_head.in_channels = (3, 64)
    config.model.decode_head.denoiser.update(
        model_channels=32, channel_mult=(1,), attention_downsample=(), feature_block=1
    )
    config.model.backbone.backbone.update(
        model='test_vit', pretrained=str(tmp_path / 'vit.safetensors')
    )
    config.dump(tmp_path / 'small.py')
    init_default_scope('mmseg')
    state = MODELS.build(config.model).state_dict()
    network = 'backbone.backbone.network.'
    vit = {k.removeprefix(network): v for k, v in state.items() if k.startswith(network)}
    save_file(vit, tmp_path / 'vit.safetensors')
    weights = {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
    theirs = save(tmp_path / 'theirs.pt', weights)
    run(monkeypatch, theirs, tmp_path / 'ours.pth', '--config', tmp_path / 'small.py')
    ours = torch.load(tmp_path / 'ours.pth')['state_dict']
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[name], value) for name, value in state.items())


def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    def refused(path, *options):
        with pytest.raises(SystemExit) as error:
            run(monkeypatch, path, tmp_path / 'out.pth', *options)
        assert error.value.code == 2 and not (tmp_path / 'out.pth').exists()
        return capsys.readouterr().err

    weights = released('ccdm_lidc')
    cut = {key: value for key, value in weights.items() if key != 'out.2.bias'}
    assert f'1 missing ({PREFIX}out.2.bias)' in refused(save(tmp_path / 'cut.pt', cut))
    path = save(tmp_path / 'more.pt', {**weights, 'ce_head.0.weight': torch.zeros(32)})
    assert f'1 unknown ({PREFIX}ce_head.0.weight)' in refused(path)
    other = ROOT / 'configs/stochastic/ccdm_lidc_9m.py'
    said = refused(save(tmp_path / 'theirs.pt', weights), '--config', other)
    assert 'of another shape' in said
    said = refused(save(tmp_path / 'wide.pt', {CONVERTER['MIDDLE']: torch.zeros(64)}))
    assert 'have the widths (64,), those of the released networks (128, 96), (160, 128)' in said
    torch.save(dict(state_dict=weights), tmp_path / 'other.pt')
    assert 'is not a CCDM checkpoint: it has no middle_block' in refused(tmp_path / 'other.pt')
    assert 'but state_dict' in refused(tmp_path / 'other.pt')
    torch.save([1], tmp_path / 'list.pt')
    assert 'under `average_model`, but list' in refused(tmp_path / 'list.pt')
