"""The DFormer configs against the authors' models and recipes."""

import gzip
import json
import runpy
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/dformer'
RELEASED = json.loads(gzip.decompress((ROOT / 'tests/data/dformer_released.json.gz').read_bytes()))
EXPERIMENTS = [
    f'dformer_{backbone}_{task}'
    for backbone in ('r50', 'r101', 'swin-t', 'swin-s', 'swin-b', 'swin-b-in22k', 'swin-l')
    for task in ('coco-panoptic', 'coco-instance', 'ade20k-semantic')
]
# millions of trained parameters of the authors' models
TRAINED = {
    'dformer_r50_coco-panoptic': 45.796,
    'dformer_r50_coco-instance': 45.782,
    'dformer_r50_ade20k-semantic': 45.800,
    'dformer_r101_coco-panoptic': 64.736,
    'dformer_swin-t_coco-panoptic': 49.247,
    'dformer_swin-t_ade20k-semantic': 49.252,
    'dformer_swin-s_coco-panoptic': 70.565,
    'dformer_swin-b_coco-panoptic': 108.730,
    'dformer_swin-l_ade20k-semantic': 217.301,
}


@pytest.fixture(scope='module', params=EXPERIMENTS)
def experiment(request, meta_allocation):
    config = Config.fromfile(CONFIGS / f'{request.param}.py')
    init_default_scope(config.default_scope)
    with meta_allocation():
        return request.param, config, MODELS.build(config.model)


@pytest.fixture(scope='module')
def converter():
    return runpy.run_path(str(ROOT / 'tools/model_converters/dformer_to_mmdiffseg.py'))


def head_of(config):
    return config.model.get('panoptic_head') or config.model.decode_head


def trained(model):
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def test_parameter_counts(experiment):
    name, _, model = experiment
    count = sum(parameter.numel() for parameter in trained(model).values())
    if name in TRAINED:
        assert count / 1e6 == pytest.approx(TRAINED[name], abs=6e-4)
    backbone = sum(p.numel() for p in trained(model.backbone).values())
    if '_r50_' in name:
        assert backbone / 1e6 == pytest.approx(23.455, abs=6e-4)


@pytest.mark.parametrize('experiment', RELEASED, indirect=True)
def test_names_and_shapes(experiment, converter):
    name, config, model = experiment
    theirs = {k: torch.empty(shape, device='meta') for k, shape in RELEASED[name].items()}
    assert converter['released_config'](theirs).stem == name
    head = 'panoptic_head' if 'panoptic_head' in config.model else 'decode_head'
    converted = converter['convert'](theirs, head)
    ours = {
        k: v.shape
        for k, v in model.state_dict().items()
        if not k.endswith(('num_batches_tracked', 'relative_position_index'))
    }
    assert {k: v.shape for k, v in converted.items()} == ours


def test_learning_rate_and_decay_of_every_parameter(experiment):
    name, config, model = experiment
    wrapper = config.optim_wrapper.copy()
    wrapper.update(type='OptimWrapper')
    wrapper.pop('loss_scale')  # the AMP wrapper asks for a GPU
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    groups = {p: group for group in optimizer.param_groups for p in group['params']}
    undecayed = set()  # norms and embeddings, but for the pixel decoder's
    for path, module in model.named_modules():
        norm = isinstance(module, (nn.LayerNorm, nn.GroupNorm))
        if norm or isinstance(module, nn.Embedding) and not path.endswith('level_encoding'):
            undecayed |= {f'{path}.{k}' for k, _ in module.named_parameters(recurse=False)}
    for path, parameter in trained(model).items():
        free = path in undecayed or path.endswith('relative_position_bias_table')
        group = groups[parameter]
        assert group['weight_decay'] == (0 if free else 0.05), path
        assert group['lr'] == pytest.approx(1e-5 if path.startswith('backbone.') else 1e-4), path
    assert config.optim_wrapper.clip_grad == dict(max_norm=0.01, norm_type=2)
    assert config.optim_wrapper.type == 'AmpOptimWrapper'


@pytest.mark.parametrize(
    ('experiment', 'curve'),
    [
        (
            'dformer_r50_coco-panoptic',
            {0: 1e-4, 437036: 1e-4, 437037: 1e-5, 473456: 1e-6, 491665: 1e-6},
        ),
        (
            'dformer_swin-l_coco-instance',
            {0: 1e-4, 655555: 1e-4, 655556: 1e-5, 710184: 1e-6, 737499: 1e-6},
        ),
        (
            'dformer_swin-b_ade20k-semantic',
            {k: 1e-4 * (1 - k / 160000) ** 0.9 for k in (0, 1, 80000, 159999)},
        ),
    ],
    indirect=['experiment'],
)
def test_learning_rate_curve(experiment, curve):
    _, config, _ = experiment
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], 1e-4)
    (scheduler,) = [
        PARAM_SCHEDULERS.build({**scheduler, 'optimizer': optimizer})
        for scheduler in config.param_scheduler
    ]
    optimizer.step()
    assert config.train_cfg.max_iters == max(curve) + 1
    for iteration in range(max(curve) + 1):
        if iteration in curve:
            assert optimizer.param_groups[0]['lr'] == pytest.approx(curve[iteration], rel=1e-6)
        scheduler.step()


def test_recipe(experiment):
    name, config, model = experiment
    semantic = 'semantic' in name
    head = head_of(config)
    large = any(part in name for part in ('swin-b', 'swin-l'))
    assert head.num_queries == (200 if 'swin-l_coco' in name else 100)
    assert head.label_encoder.scale == 0.1 and head.steps == 1
    assert config.auto_scale_lr.base_batch_size == (16 if semantic else 12)
    assert config.train_cfg.val_interval == config.default_hooks.checkpoint.interval == 5000
    train, test = (config[f'{k}_dataloader'].dataset.pipeline for k in ('train', 'test'))
    resize = next(t for t in test if t.type == 'Resize')
    if semantic:
        size = 640 if large else 512
        assert config.model.data_preprocessor.size == (size, size)
        assert resize.scale == (4 * size, size)
        choice, crop, pad = (
            next(t for t in train if t.type == kind)
            for kind in ('RandomChoiceResize', 'RandomCrop', 'Pad')
        )
        assert choice.scales[0] == (4 * size, size // 2) and len(choice.scales) == 16
        assert choice.scales[-1] == (4 * size, 2 * size)
        assert crop.crop_size == pad.size == (size, size) and crop.cat_max_ratio == 1
        assert model.decode_head.num_classes == 150
    else:
        assert resize.scale == (1333, 800)
        things, stuff = (80, 53) if 'panoptic' in name else (80, 0)
        for part in (model.panoptic_head, model.panoptic_fusion_head):
            assert (part.num_things_classes, part.num_stuff_classes) == (things, stuff)
        assert model.test_cfg.panoptic_on == ('panoptic' in name)
        assert model.panoptic_head.class_weight == [1.0] * (things + stuff) + [0.1]


def test_metafile_counts_parameters(experiment):
    name, _, model = experiment
    entries = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())['Models']
    (entry,) = [entry for entry in entries if entry['Name'] == name]
    assert (ROOT / entry['Config']).stem == name
    assert entry['Metadata']['Parameters'] == sum(p.numel() for p in trained(model).values())


def test_every_released_experiment_has_its_config():
    names = [f'dformer_*_{task}-*.py' for task in ('coco', 'ade20k')]
    released = {path.stem for name in names for path in CONFIGS.glob(name)}
    assert released == set(EXPERIMENTS)
