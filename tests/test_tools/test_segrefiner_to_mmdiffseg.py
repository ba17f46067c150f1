import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/segrefiner_to_mmdiffseg.py'
CONVERTER = runpy.run_path(str(SCRIPT))
STEM = 'input_blocks.0.0.weight'


@pytest.fixture
def small(tmp_path):
    """A config of a small width, and a checkpoint as the authors' code writes it."""
    config = Config.fromfile(ROOT / 'configs/refine/segrefiner_hr_dis5k.py')
    config.model.decode_head.denoiser.update(
        model_channels=32, channel_mult=(1, 1), num_res_blocks=1, attention_downsample=(2,)
    )
    config.dump(tmp_path / 'small.py')
    torch.manual_seed(0)
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope('mmseg')
    model = MODELS.build(config.model)
    weights = {
        name.removeprefix('decode_head.denoiser.'): value
        for name, value in model.state_dict().items()
    }
    weights[STEM] = torch.cat([weights[STEM][:, 1:], weights[STEM][:, :1]], dim=1)
    theirs = {f'denoise_model.{name}': value for name, value in weights.items()}
    theirs['loss_texture.sobel.conv_x.weight'] = torch.zeros(1, 1, 3, 3)
    torch.save(dict(state_dict=theirs, meta=dict(iter=7)), tmp_path / 'theirs.pth')
    return model, tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
    CONVERTER['main']()


def test_weights_arrive_and_the_mask_comes_first(small, monkeypatch, capsys):
    model, folder = small
    options = ['--config', folder / 'small.py']
    run(monkeypatch, folder / 'theirs.pth', folder / 'ours.pth', *options)
    ours = torch.load(folder / 'ours.pth', weights_only=False)
    for name, value in model.state_dict().items():
        assert torch.equal(ours['state_dict'][name], value), name
    assert ours['meta']['dataset_meta']['classes'] == ('background', 'foreground')
    assert 'label_encoder' not in ours['meta']
    assert 'written to' in capsys.readouterr().out


def test_another_width_or_another_checkpoint_is_refused(small, monkeypatch, capsys):
    _, folder = small
    weights = torch.load(folder / 'theirs.pth')['state_dict']
    del weights['denoise_model.out.2.bias']
    torch.save(dict(state_dict=weights), folder / 'cut.pth')
    with pytest.raises(SystemExit):
        run(monkeypatch, folder / 'cut.pth', folder / 'a.pth', '--config', folder / 'small.py')
    assert '1 missing (decode_head.denoiser.out.2.bias)' in capsys.readouterr().err
    torch.save(dict(state_dict={'a': torch.zeros(1)}), folder / 'other.pth')
    with pytest.raises(SystemExit):
        run(monkeypatch, folder / 'other.pth', folder / 'a.pth')
    assert 'is not a SegRefiner checkpoint' in capsys.readouterr().err
    assert not (folder / 'a.pth').exists()
