"""CCDM's configs against the released networks and recipes, and its company on Shapes."""

from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

CONFIGS = Path(__file__).parents[2] / 'configs/stochastic'
#: those that share a network; an ensemble has several, SegDiff has its own
SHAPES = sorted(
    path.stem
    for path in CONFIGS.glob('*_ambiguous-shapes.py')
    if not path.stem.startswith(('ensemble', 'segdiff'))
)
CCDM = dict(ccdm_lidc=5_699_138, ccdm_lidc_9m=9_056_610, ccdm_cityscapes=30_118_484)


def load(name):
    init_default_scope('mmseg')
    return Config.fromfile(CONFIGS / f'{name}.py')


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('name', CCDM)
def test_released_networks_take_a_training_step(name):
    config = load(name)
    model = MODELS.build(config.model)
    assert count(model) == CCDM[name]
    channels = config.model.decode_head.in_channels
    labels = torch.randint(config.model.decode_head.num_classes, (1, 1, 64, 64))
    labels[..., :3] = 255
    data = dict(
        inputs=[torch.randint(256, (channels, 64, 64), dtype=torch.uint8)],
        data_samples=[
            SegDataSample(gt_sem_seg=PixelData(data=labels[0]), metainfo=dict(img_shape=(64, 64)))
        ],
    )
    model.data_preprocessor.size = (64, 64)
    loss = model.loss(**model.data_preprocessor(data, training=True))['decode.loss_kl']
    loss.backward()
    assert model.decode_head.denoiser.out[2].weight.grad.any()


@pytest.mark.parametrize(
    'name, epochs, momentum, size, classes',
    [('ccdm_lidc', 2000, 1e-4, (128, 128), 2), ('ccdm_cityscapes', 800, 1e-3, (256, 512), 20)],
)
def test_released_recipes(name, epochs, momentum, size, classes):
    config = load(name)
    assert config.train_cfg.max_epochs == config.param_scheduler[0].end == epochs
    assert config.param_scheduler[0].eta_min == 1e-6 and config.param_scheduler[0].power == 1
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert 'clip_grad' not in config.optim_wrapper
    assert config.custom_hooks[-1] == dict(type='mmdiffseg.UpdateEMAHook', momentum=momentum)
    loader = config.train_dataloader
    assert loader.batch_size == 16 and loader.drop_last
    assert tuple(config.model.data_preprocessor.size) == size
    head = config.model.decode_head
    assert head.num_classes + head.get('void_class', False) == classes
    assert head.noise_schedule.schedule.num_timesteps == 250
    assert (head.loss, head.loss_reduction) == ('kl', 'sum')


def test_grey_pictures_of_lidc_lie_between_minus_one_and_one():
    config = load('ccdm_lidc')
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.pipeline[0].color_type == 'grayscale'
    preprocessor = MODELS.build(config.model.data_preprocessor)
    image = torch.tensor([0, 255], dtype=torch.uint8).repeat(1, 16, 8)
    data = dict(inputs=[image], data_samples=[SegDataSample()])
    found = preprocessor(data, training=False)['inputs']
    assert found.shape == (1, 1, 16, 16) and found.unique().tolist() == [-1, 1]


def test_the_network_beside_dino_has_the_released_parameters(meta_allocation):
    config = load('ccdm_cityscapes_dino')
    with meta_allocation():
        model = MODELS.build(config.model)
    assert count(model.decode_head) == 30_627_284
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 30_627_284


def test_methods_on_shapes_differ_in_the_head_alone(meta_allocation):
    configs = {name: load(name) for name in SHAPES}
    assert len(configs) == 8
    first, *others = ({**c, 'model': None, 'filename': None} for c in configs.values())
    assert all(other == first for other in others)
    heads = [c.model.decode_head for name, c in configs.items() if not name.startswith('ddp')]
    assert all(head.denoiser == heads[0].denoiser for head in heads)
    assert all(head.generations == heads[0].generations for head in heads)
    counts = []
    for config in configs.values():
        with meta_allocation():
            counts.append(count(MODELS.build(config.model)))
    assert max(counts) < 1.11 * min(counts) and max(counts) < 2_500_000


def test_metafile_counts_the_parameters_of_every_config(meta_allocation):
    models = yaml.safe_load((CONFIGS / 'metafile.yml').read_text())['Models']
    counts = {model['Name']: model['Metadata']['Parameters'] for model in models}
    found = {}
    for path in CONFIGS.glob('*.py'):
        if path.stem != 'ensemble_ambiguous-shapes':  # as large as its members
            with meta_allocation():
                found[path.stem] = count(MODELS.build(load(path.stem).model))
    assert found == counts
    assert all(model['Config'] == f'configs/stochastic/{model["Name"]}.py' for model in models)


def test_an_ensemble_of_the_pixelwise_network(tmp_path):
    torch.manual_seed(0)
    member = MODELS.build(load('pixelwise_ambiguous-shapes').model)
    torch.save(dict(state_dict=member.state_dict()), tmp_path / 'member.pth')
    config = load('ensemble_ambiguous-shapes')
    assert 'train_cfg' not in config  # so that tools/test.py asks for no checkpoint
    config.model.checkpoints = [str(tmp_path / 'member.pth')] * 2
    assert len(MODELS.build(config.model).members) == 2
