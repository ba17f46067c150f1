"""The DDP configs; the released ones against the authors' models and optimizers."""

import functools
import gzip
import json
import runpy
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/ddp'
CONVERTER = runpy.run_path(str(ROOT / 'tools/model_converters/ddp_to_mmdiffseg.py'))
RELEASED = json.loads(gzip.decompress((ROOT / 'tests/data/ddp_released.json.gz').read_bytes()))
OTHERS = {path.stem for path in CONFIGS.glob('*.py')} - RELEASED.keys()
OTHERS = sorted(name for name in OTHERS if '-depth' not in name)  # of which test_ddp_depth.py knows
rename = CONVERTER['rename']

# the authors keep these beside the head, we inside it
PARTS = {
    'decode_head.label_encoder.': 'embedding_table',
    'decode_head.denoiser.transform.': 'transform',
    'decode_head.denoiser.time_mlp.': 'time_mlp',
}


def build(name, meta_allocation):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    init_default_scope('mmseg')
    with meta_allocation():
        return config, MODELS.build(config.model)


def parameter_groups(config, model):
    """Learning rate and weight decay of every parameter."""
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: [group['lr'], group['weight_decay']]
        for group in optimizer.param_groups
        for parameter in group['params']
    }


@functools.cache  # the experiments share two curves
def learning_rates(lr, schedulers, iterations):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr)
    schedulers = [
        PARAM_SCHEDULERS.build({**scheduler, 'optimizer': optimizer})
        for scheduler in json.loads(schedulers)
    ]
    optimizer.step()
    curve = []
    for _ in range(iterations):
        curve.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    return curve


@pytest.fixture(scope='module', params=RELEASED)
def experiment(request, meta_allocation):
    config, model = build(request.param, meta_allocation)
    return request.param, config, model, RELEASED[request.param]


def test_names_and_shapes(experiment):
    _, _, model, released = experiment
    renamed = {rename(name): shape for name, shape in released['state_dict'].items()}
    assert len(renamed) == len(released['state_dict'])  # no two names became one
    assert renamed == {name: list(value.shape) for name, value in model.state_dict().items()}


def test_parameter_counts(experiment):
    _, _, model, released = experiment
    counts = Counter()
    for name, parameter in model.named_parameters():
        part = next((part for prefix, part in PARTS.items() if name.startswith(prefix)), None)
        counts[part or name.split('.')[0]] += parameter.numel()
    counts['total'] = counts.total()
    assert counts == {part: count for part, count in released['params'].items() if count}


def test_learning_rate_and_decay_of_every_parameter(experiment):
    _, config, model, released = experiment
    expected = {rename(name): values for name, values in released['optim'].items()}
    assert parameter_groups(config, model) == expected
    assert config.optim_wrapper.optimizer.betas == (0.9, 0.999)


def test_learning_rate_curve(experiment):
    _, config, _, released = experiment
    curve = learning_rates(
        config.optim_wrapper.optimizer.lr,
        json.dumps(config.param_scheduler),
        config.train_cfg.max_iters,
    )
    for iteration, value in released['lr_curve'].items():
        assert curve[int(iteration)] == pytest.approx(value, rel=1e-9), iteration


def test_recipe(experiment):
    name, config, _, _ = experiment
    ade, aligned = 'ade20k' in name, 'self-aligned' in name
    head, backbone = config.model.decode_head, config.model.backbone
    size = (512, 512) if ade else (512, 1024)
    crop = next(t for t in config.train_dataloader.dataset.pipeline if t.type == 'RandomCrop')
    assert crop.crop_size == config.model.data_preprocessor.size == size
    assert crop.cat_max_ratio == 0.75
    assert config.train_dataloader.batch_size == (2 if ade else 4)
    assert config.auto_scale_lr.base_batch_size == 16
    assert config.optim_wrapper.get('clip_grad') == (dict(max_norm=0.1) if ade else None)
    assert head.accumulation == ('prob' if ade else False)
    assert head.get('self_aligned', False) == aligned
    assert head.steps == (10 if aligned else 3)
    assert config.train_cfg.val_interval == (500 if aligned else 16000)
    assert config.default_hooks.checkpoint.interval == config.train_cfg.val_interval
    assert (config.load_from is None) == (backbone.pretrained is not None) == (not aligned)
    assert backbone.drop_path_rate == (0.3 if 'swin' in name or 'convnext-s' in name else 0.4)


def test_converter_recognises_the_experiment(experiment):
    name, _, model, _ = experiment
    recognised = CONVERTER['released_config'](model.state_dict())
    assert recognised.stem == name.removesuffix('_self-aligned')


@pytest.mark.parametrize('name', OTHERS)
def test_other_configs_build(name, meta_allocation):
    config, model = build(name, meta_allocation)
    assert build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    classes = model.decode_head.num_classes
    if model.with_auxiliary_head:
        assert model.auxiliary_head.num_classes == classes
    check = next(t for t in config.train_dataloader.dataset.pipeline if 'num_classes' in t)
    assert check.num_classes == classes


def test_first_release_does_not_decay_norms_of_heads(meta_allocation):
    groups = parameter_groups(*build('ddp_swin-t_ade20k_no-head-norm-decay', meta_allocation))
    later = {rename(k): values for k, values in RELEASED['ddp_swin-t_ade20k']['optim'].items()}
    changed = {name: values for name, values in groups.items() if values != later[name]}
    norms = {name for name in groups if name.startswith('decode_head') and '.norms.' in name}
    assert changed == dict.fromkeys(norms, [6e-5, 0.0])


def test_metafile_names_existing_configs():
    metafile = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())
    models = {
        model['Name']: model
        for model in metafile['Models']
        if model['Results'][0]['Task'] == 'Semantic Segmentation'
    }
    for name, model in models.items():
        assert (ROOT / model['Config']).stem == name
        assert model['Metadata']['Parameters'] == RELEASED[name]['params']['total']
    # the authors give no result for Swin-L on Cityscapes
    assert models.keys() == RELEASED.keys() - {'ddp_swin-l_cityscapes'}
    assert (ROOT / metafile['Collections'][0]['Code']['URL']).exists()
