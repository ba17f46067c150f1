import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

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


def test_the_width_of_the_middle_tells_the_network():
    for width, name in ((128, 'ccdm_lidc'), (160, 'ccdm_lidc_9m'), (256, 'ccdm_cityscapes')):
        weights = {CONVERTER['MIDDLE']: torch.zeros(width)}
        path = CONVERTER['released_config'](weights, 'a.pt')
        assert path.stem == name
        head = Config.fromfile(path).model.decode_head
        assert head.denoiser.model_channels * head.denoiser.channel_mult[-1] == width


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
    assert 'has 64 channels, those of the released networks have 128, 160, 256' in said
    torch.save(dict(state_dict=weights), tmp_path / 'other.pt')
    assert 'is not a CCDM checkpoint: it has no middle_block' in refused(tmp_path / 'other.pt')
    assert 'but state_dict' in refused(tmp_path / 'other.pt')
    torch.save([1], tmp_path / 'list.pt')
    assert 'under `average_model`, but list' in refused(tmp_path / 'list.pt')
