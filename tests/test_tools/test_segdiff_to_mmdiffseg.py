import gzip
import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmdiffseg.diffusion import CosineBetas, space_timesteps
from mmdiffseg.models.layers.unet_blocks import SelfAttention

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/model_converters/segdiff_to_mmdiffseg.py'
RELEASED = json.loads(gzip.decompress((ROOT / 'tests/data/segdiff_released.json.gz').read_bytes()))
CONVERTER = runpy.run_path(str(SCRIPT))
ARGS = dict(num_heads=4, dropout=0.1, diffusion_steps=50, class_name='bus')
# a config of some data; its network is another one than that of the checkpoints
CONFIG = """
default_scope = 'mmseg'
model = dict(
    type='mmdiffseg.SegDiff',
    data_preprocessor=dict(type='SegDataPreProcessor', test_cfg=dict(size_divisor=4)),
    backbone=dict(type='mmdiffseg.RRDBNet', out_channels=32, num_blocks=2),
    decode_head=dict(
        type='mmdiffseg.SegDiffHead',
        in_channels=32,
        noise_schedule=dict(type='mmdiffseg.LinearBetas', num_timesteps=100),
        diffusion_sampler=dict(
            type='mmdiffseg.DDPMSampler', spacing='uniform', variance='fixed_large'
        ),
        denoiser=dict(
            type='mmdiffseg.SegDiffUNet',
            model_channels=32,
            channel_mult=(1, 2, 2),
            num_res_blocks=1,
            attention_downsample=(2, 4),
        ),
    ),
    test_cfg=dict(mode='whole'),
)
test_dataloader = dict(dataset=dict(type='mmdiffseg.BinarySegDataset'))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'buses.py'
    path.write_text(CONFIG)
    return path


def tiny_weights(**rows):
    """The released code's tiny network as views of one flat storage, as half-precision runs do."""
    torch.manual_seed(0)
    shapes = RELEASED['tiny'] | rows
    flat = torch.randn(sum(torch.Size(shape).numel() for shape in shapes.values()))
    parts = flat.split([torch.Size(shape).numel() for shape in shapes.values()])
    return {
        name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
    CONVERTER['main']()


def refused(monkeypatch, capsys, *arguments):
    """The message with which the command line is refused."""
    with pytest.raises(SystemExit) as exit:
        run(monkeypatch, *arguments)
    assert exit.value.code != 0
    return capsys.readouterr().err


def test_file_of_a_run(tmp_path, config, monkeypatch, capsys):
    weights = tiny_weights()
    torch.save(weights, tmp_path / 'ema_val_0.7000000_0.9999_060000.pt')
    (tmp_path / 'args.json').write_text(json.dumps(ARGS))
    source = tmp_path / 'ema_val_0.7000000_0.9999_060000.pt'
    run(monkeypatch, source, tmp_path / 'ours.pth', '--config', config)
    said = capsys.readouterr().out
    assert '222 tensors of buses written' in said
    options = [
        'model.backbone.num_blocks=1',
        'model.decode_head.denoiser.dropout=0.1',
        'model.decode_head.noise_schedule.num_timesteps=50',
    ]
    assert said.split('--cfg-options ')[1].split() == options

    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    state = checkpoint['state_dict']
    name = 'RRDB_trunk.0.RDB2.conv3.weight'
    assert torch.equal(state[f'backbone.{name}'], weights[f'rrdb.{name}'])
    name = 'output_blocks.1.2.conv.weight'
    assert torch.equal(state[f'decode_head.denoiser.{name}'], weights[name])
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in state.values())
    meta = checkpoint['meta']
    assert meta['dataset_meta']['classes'] == ('background', 'foreground')
    saved = Config.fromstring(meta['cfg'], '.py')
    init_default_scope('mmseg')
    model = MODELS.build(saved.model)
    model.load_state_dict(state, strict=True)
    assert len(model.backbone.RRDB_trunk) == 1
    assert model.decode_head.noise_schedule.num_timesteps == 50


def test_half_precision_becomes_float32(tmp_path, config, monkeypatch):
    weights = {name: value.half() for name, value in tiny_weights().items()}
    torch.save(weights, tmp_path / 'ema.pt')
    run(monkeypatch, tmp_path / 'ema.pt', tmp_path / 'ours.pth', '--config', config)
    state = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_learned_variance_shows_in_the_output(tmp_path, config, monkeypatch, capsys):
    weights = tiny_weights(**{'out.2.weight': [2, 32, 3, 3], 'out.2.bias': [2]})
    torch.save(weights, tmp_path / 'model060000.pt')
    run(monkeypatch, tmp_path / 'model060000.pt', tmp_path / 'ours.pth', '--config', config)
    printed = capsys.readouterr().out
    assert 'diffusion_sampler.variance=learned_range' in printed
    assert 'decode_head.learn_variance=True' in printed


def converted(tmp_path, monkeypatch, config, weights=None, **args):
    """The model of a converted run with these options."""
    torch.save(weights or tiny_weights(), tmp_path / 'ema.pt')
    (tmp_path / 'args.json').write_text(json.dumps(ARGS | args))
    run(monkeypatch, tmp_path / 'ema.pt', tmp_path / 'ours.pth', '--config', config)
    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromstring(checkpoint['meta']['cfg'], '.py').model)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    return model


@pytest.mark.parametrize(('upsample', 'decoder'), [(2, 2), (-1, 4), (4, 4)])
def test_heads_of_the_decoder(tmp_path, config, monkeypatch, capsys, upsample, decoder):
    model = converted(tmp_path, monkeypatch, config, num_heads_upsample=upsample)
    unet = model.decode_head.denoiser
    heads = [
        [module.num_heads for module in part.modules() if isinstance(module, SelfAttention)]
        for part in (unet.input_blocks, unet.middle_block, unet.output_blocks)
    ]
    assert [set(numbers) for numbers in heads] == [{4}, {4}, {decoder}]
    told = 'num_heads_upsample=2: set model.decode_head.denoiser.num_heads_upsample=2'
    assert (told in capsys.readouterr().out) == (upsample == 2)


@pytest.mark.parametrize(('xstart', 'kind'), [(True, 'x0'), (False, 'eps')])
def test_what_the_network_predicts(tmp_path, config, monkeypatch, capsys, xstart, kind):
    head = converted(tmp_path, monkeypatch, config, predict_xstart=xstart).decode_head
    assert head.preconditioner.prediction_type == kind
    told = 'predict_xstart=True: set model.decode_head.prediction_type=x0'
    assert (told in capsys.readouterr().out) == xstart


def test_cosine_schedule_small_variance_and_clamping(tmp_path, config, monkeypatch, capsys):
    options = dict(noise_schedule='cosine', sigma_small=True, clip_denoised=True)
    head = converted(tmp_path, monkeypatch, config, **options).decode_head
    assert isinstance(head.noise_schedule, CosineBetas)
    assert head.noise_schedule.num_timesteps == 50
    assert head.diffusion_sampler.variance == 'fixed_small'
    assert head.clip_denoised
    said = capsys.readouterr().out
    for sentence in (
        "noise_schedule='cosine': set model.decode_head.noise_schedule.type=mmdiffseg.CosineBetas",
        'sigma_small=True: set model.decode_head.diffusion_sampler.variance=fixed_small',
        'clip_denoised=True: set model.decode_head.clip_denoised=True',
    ):
        assert f'args.json has {sentence}\n' in said
        assert sentence.split(': set ')[1] in said.split('--cfg-options ')[1].split()


def test_usual_options_need_no_word(tmp_path, config, monkeypatch, capsys):
    options = dict(
        num_heads_upsample=-1,
        noise_schedule='linear',
        sigma_small=False,
        clip_denoised=False,
        timestep_respacing='',
        predict_xstart=False,
        rescale_timesteps=False,
        use_kl=False,
        rescale_learned_sigmas=True,  # nothing without a learned variance
        diffusion_steps=100,
        dropout=0.0,
    )
    converted(tmp_path, monkeypatch, config, **options)
    said = capsys.readouterr().out
    assert 'args.json' not in said
    assert said.split('--cfg-options ')[1].split() == ['model.backbone.num_blocks=1']


@pytest.mark.parametrize(
    ('respacing', 'spacing'), [('25', 'uniform'), ('10', 'uniform'), ('ddim10', 'leading')]
)
def test_a_respaced_run_is_sampled_at_its_times(tmp_path, config, monkeypatch, respacing, spacing):
    head = converted(tmp_path, monkeypatch, config, timestep_respacing=respacing).decode_head
    assert head.diffusion_sampler.spacing == spacing
    pairs = head.diffusion_sampler.time_pairs(head.steps)
    assert [now for now, _ in reversed(pairs)] == space_timesteps(50, respacing)


def test_what_only_training_reads_is_told(tmp_path, config, monkeypatch, capsys):
    weights = tiny_weights(**{'out.2.weight': [2, 32, 3, 3], 'out.2.bias': [2]})
    options = dict(rescale_learned_sigmas=True, sigma_small=True)
    head = converted(tmp_path, monkeypatch, config, weights, **options).decode_head
    assert head.diffusion_sampler.variance == 'learned_range'
    assert 'rescale_learned_sigmas=True: the bound had the weight 50 / 1000' in (
        capsys.readouterr().out
    )
    (tmp_path / 'ours.pth').unlink()
    converted(tmp_path, monkeypatch, config, use_kl=True)
    assert (
        'use_kl=True: the network was trained by the variational bound' in capsys.readouterr().out
    )


def test_a_sampler_without_a_variance_keeps_none(tmp_path, config, monkeypatch, capsys):
    ddim = CONFIG.replace('DDPMSampler', 'DDIMSampler').replace(", variance='fixed_large'", '')
    config.write_text(ddim)
    head = converted(tmp_path, monkeypatch, config, sigma_small=True).decode_head
    assert type(head.diffusion_sampler).__name__ == 'DDIMSampler'
    assert 'variance' not in capsys.readouterr().out


def test_parts_that_a_config_leaves_out_have_their_defaults(tmp_path, config, monkeypatch):
    start, end = CONFIG.index('        noise_schedule'), CONFIG.index('        denoiser=')
    config.write_text(CONFIG[:start] + CONFIG[end:])
    options = dict(noise_schedule='cosine', sigma_small=True)
    head = converted(tmp_path, monkeypatch, config, **options).decode_head
    assert isinstance(head.noise_schedule, CosineBetas)
    assert head.diffusion_sampler.variance == 'fixed_small'
    assert head.diffusion_sampler.spacing == 'uniform'


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(rescale_timesteps=True), 'rescale_timesteps=True: .* scaled by 1000 / 50'),
        (dict(noise_schedule='sqrt'), r"noise_schedule='sqrt': .* \['linear', 'cosine'\]"),
        (dict(timestep_respacing='10,5'), "timestep_respacing='10,5': no spacing"),
        (dict(rescale_timesteps=True, noise_schedule='sqrt'), 'rescale_times.*\n.*noise_schedule'),
    ],
    ids=str,
)
def test_options_without_a_counterpart_are_refused(
    tmp_path, config, monkeypatch, capsys, options, sentence
):
    with pytest.raises(SystemExit) as exit:
        converted(tmp_path, monkeypatch, config, **options)
    assert exit.value.code == 2
    message = capsys.readouterr().err
    assert re.search(f'args.json has {sentence}', message)
    assert not (tmp_path / 'ours.pth').exists()


def test_scaled_times_of_a_thousand_steps_are_the_times(tmp_path, config, monkeypatch):
    options = dict(rescale_timesteps=True, diffusion_steps=1000)
    head = converted(tmp_path, monkeypatch, config, **options).decode_head
    assert head.noise_schedule.num_timesteps == 1000


def test_scale_and_shift_by_the_time_show_in_the_shapes(tmp_path, config, monkeypatch):
    doubled = {
        name: [2 * shape[0], *shape[1:]]
        for name, shape in RELEASED['tiny'].items()
        if '.emb_layers.1.' in name
    }
    model = converted(tmp_path, monkeypatch, config, tiny_weights(**doubled))
    assert model.decode_head.denoiser.input_blocks[1][0].scale_shift


DEEP = dict(channel_mult=(1, 1, 1, 2, 2, 4, 4), attention_downsample=(16, 32))


@pytest.mark.parametrize(
    ('name', 'network'),
    [
        ('cityscapes', dict(channel_mult=(1, 1, 2, 2, 4, 4), attention_downsample=(8, 16))),
        ('vaihingen', DEEP),
        ('monuseg', DEEP),
    ],
)
def test_published_networks_are_recognised_and_fit(name, network):
    weights = {key: torch.empty(shape, device='meta') for key, shape in RELEASED[name].items()}
    converted = CONVERTER['convert'](weights)
    settings = CONVERTER['visible_settings'](converted)
    network = dict(network, model_channels=128, num_res_blocks=3)
    assert settings['decode_head.denoiser'] == network
    path = CONVERTER['published_config'](settings, ARGS)
    assert path.stem == f'segdiff_{name}' + ('-bus' if name == 'cityscapes' else '')
    config = Config.fromfile(path)
    assert CONVERTER['apply_settings'](config, settings) == []
    head = config.model.decode_head
    denoiser = dict(head.denoiser, in_channels=1, out_channels=1, feature_channels=head.in_channels)
    with torch.device('meta'):
        parts = {
            'backbone': MODELS.build(config.model.backbone),
            'decode_head.denoiser': MODELS.build(denoiser),
        }
    shapes = {
        f'{part}.{key}': value.shape
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }
    assert shapes == {key: value.shape for key, value in converted.items()}


def test_unpublished_recipes_need_a_config():
    settings = {'backbone': dict(num_blocks=9), 'decode_head.denoiser': dict(channel_mult=(1,) * 7)}
    with pytest.raises(ValueError, match=r'7 levels, 9 RRDB blocks .* with --config'):
        CONVERTER['published_config'](settings, ARGS)
    settings = {
        'backbone': dict(num_blocks=15),
        'decode_head.denoiser': dict(channel_mult=(1,) * 6),
    }
    with pytest.raises(ValueError, match='the class tram'):
        CONVERTER['published_config'](settings, dict(ARGS, class_name='tram'))


def test_defaults_count_as_stated():
    node = ConfigDict(type='mmdiffseg.SegDiffUNet', dropout=0.2)
    assert CONVERTER['stated'](node, 'dropout') == 0.2
    assert CONVERTER['stated'](node, 'num_heads') == 4


def test_what_shapes_do_not_show_is_asked_for(tmp_path, monkeypatch, capsys):
    torch.save(tiny_weights(), tmp_path / 'ema.pt')
    message = refused(monkeypatch, capsys, tmp_path / 'ema.pt', tmp_path / 'ours.pth')
    assert "put the run's args.json beside it" in message
    (tmp_path / 'args.json').write_text(json.dumps(dict(num_heads=4, dropout=0.0)))
    message = refused(monkeypatch, capsys, tmp_path / 'ema.pt', tmp_path / 'ours.pth')
    assert "args.json has no 'diffusion_steps'" in message


def test_wrong_files_are_refused(tmp_path, config, monkeypatch, capsys):
    torch.save({'layer.weight': torch.zeros(1)}, tmp_path / 'other.pt')
    torch.save(dict(state={}, param_groups=[]), tmp_path / 'opt.pt')
    for name, expected in [
        ('other.pt', 'is not a SegDiff checkpoint: it lacks rrdb.conv_first.weight'),
        ('opt.pt', "it holds ['state', 'param_groups']"),
        ('missing.pt', 'there is no checkpoint'),
    ]:
        message = refused(
            monkeypatch, capsys, tmp_path / name, tmp_path / 'ours.pth', '--config', config
        )
        assert expected in message
    weights = tiny_weights()
    weights['label_emb.weight'] = torch.zeros(3, 128)
    del weights['rrdb.HRconv.bias']
    torch.save(weights, tmp_path / 'changed.pt')
    message = refused(
        monkeypatch, capsys, tmp_path / 'changed.pt', tmp_path / 'ours.pth', '--config', config
    )
    assert '1 missing (backbone.HRconv.bias)' in message
    assert '1 unknown (decode_head.denoiser.label_emb.weight)' in message
    assert not (tmp_path / 'ours.pth').exists()
