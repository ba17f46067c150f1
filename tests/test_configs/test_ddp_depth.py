"""The depth configs of DDP against the authors' models and optimizers."""

import gzip
import json
import runpy
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
rename = runpy.run_path(str(ROOT / 'tools/model_converters/ddp_to_mmdiffseg.py'))['rename']
RELEASED = json.loads(
    gzip.decompress((ROOT / 'tests/data/ddp_depth_released.json.gz').read_bytes())
)
TIME = 'time_mlp'


def read(name):
    init_default_scope('mmseg')
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.fixture(scope='module', params=RELEASED)
def experiment(request, meta_allocation):
    """An experiment whose decoder is told the time, and what was released, where it is not."""
    config = read(request.param)
    with meta_allocation():
        return config, MODELS.build(config.model), RELEASED[request.param]


def as_released(names):
    """The names that a decoder without time has, too."""
    return {name for name in names if '.layers.' not in name or TIME not in name}


def test_metafile_counts_parameters(experiment):
    config, model, _ = experiment
    entries = {
        m['Config']: m for m in yaml.safe_load((CONFIGS / 'metafile.yml').read_text())['Models']
    }
    name = Path(config.filename).name
    count = sum(parameter.numel() for parameter in model.parameters())
    entry = entries.get(f'configs/ddp/{name}')
    assert (entry is not None) == name.startswith('ddp_swin-l')
    assert entry is None or entry['Metadata']['Parameters'] == count


def test_names_shapes_and_counts(experiment):
    _, model, released = experiment
    renamed = {rename(name): shape for name, shape in released['state_dict'].items()}
    assert len(renamed) == len(released['state_dict'])
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    assert renamed == {name: shapes[name] for name in as_released(shapes)}
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert sum(sizes[name] for name in as_released(sizes)) == released['params']['total']
    assert len(shapes) == len(renamed) + 2 * 6


@pytest.mark.parametrize('name', ['ddp_swin-t_kitti-depth', 'ddp_swin-t_nyu-depth'])
def test_no_time_is_the_released_model(name, meta_allocation):
    config = read(f'{name}_no-time')
    with meta_allocation():
        model = MODELS.build(config.model)
    released = {rename(n): shape for n, shape in RELEASED[name]['state_dict'].items()}
    assert {n: list(value.shape) for n, value in model.state_dict().items()} == released
    assert config.find_unused_parameters


def test_learning_rate_and_decay_of_every_parameter(experiment):
    config, model, released = experiment
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = {
        names[parameter]: [group['lr'], group['weight_decay']]
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    expected = {rename(name): values for name, values in released['optim'].items()}
    assert {name: groups[name] for name in as_released(groups)} == expected
    assert config.optim_wrapper.optimizer.betas == (0.9, 0.999)


@pytest.mark.parametrize('name', ['ddp_swin-t_kitti-depth', 'ddp_swin-t_nyu-depth'])
def test_learning_rate_curve(name):
    config = read(name)
    optimizer = torch.optim.AdamW(
        [torch.nn.Parameter(torch.zeros(1))], config.optim_wrapper.optimizer.lr
    )
    schedulers = [
        PARAM_SCHEDULERS.build({**scheduler, 'optimizer': optimizer})
        for scheduler in config.param_scheduler
    ]
    optimizer.step()
    curve = []
    for _ in range(config.train_cfg.max_iters):
        curve.append(optimizer.param_groups[0]['lr'])
        for scheduler in schedulers:
            scheduler.step()
    for iteration, value in RELEASED[name]['lr_curve'].items():
        assert curve[int(iteration)] == pytest.approx(value, rel=1e-8), iteration


def test_recipe(experiment):
    config, model, _ = experiment
    kitti = config.dataset_type.endswith('KITTIDepthDataset')
    pipeline = {t.type.split('.')[-1]: t for t in config.train_dataloader.dataset.pipeline}
    size = (352, 704) if kitti else (416, 544)
    assert pipeline['RandomCrop'].crop_size == config.model.data_preprocessor.size == size
    assert pipeline['RandomRotate'].seg_pad_val == config.model.data_preprocessor.seg_pad_val == 0
    assert pipeline['LoadDepthAnnotation'].depth_rescale_factor == (1 / 256 if kitti else 1e-3)
    brightness = (0.9, 1.1) if kitti else (0.75, 1.25)
    assert pipeline['ColorAug'].brightness_range == brightness
    assert ('KBCrop' in pipeline) == kitti != ('NYUCrop' in pipeline)
    assert config.train_dataloader.batch_size == 2
    assert config.auto_scale_lr.base_batch_size == 16
    assert config.optim_wrapper.clip_grad == dict(max_norm=35)
    assert config.train_cfg.max_iters == 38400
    assert config.train_cfg.val_interval == (800 if kitti else 1600)
    assert config.default_hooks.checkpoint.interval == config.train_cfg.val_interval
    head = model.decode_head
    assert (head.min_depth, head.max_depth) == (1e-3, 80 if kitti else 10)
    assert head.label_encoder.scale == 0.1 and head.steps == 3 and head.time_input == 't'
    evaluator = config.test_evaluator
    assert (evaluator.crop, evaluator.max_depth) == (('garg', 80) if kitti else ('nyu', 10))
    assert not model.with_auxiliary_head
    assert config.model.backbone.drop_path_rate == 0.3


@pytest.mark.parametrize(
    'name',
    sorted({path.stem for path in CONFIGS.glob('*-depth*.py')} - RELEASED.keys()),
)
def test_other_configs_build(name, meta_allocation):
    config = read(name)
    with meta_allocation():
        model = MODELS.build(config.model)
    assert build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    assert config.tta_model.type == 'mmdiffseg.DepthTTAModel'
    check = next(t for t in config.test_dataloader.dataset.pipeline if 'max_depth' in t)
    assert check.max_depth == model.decode_head.max_depth
