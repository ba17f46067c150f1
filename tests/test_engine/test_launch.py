import pytest
from mmengine.config import Config

from mmdiffseg.engine import launch
from mmdiffseg.registry import MODELS


@pytest.fixture
def cfg():
    leaf = {'type': 'BaseSegDataset', 'data_root': 'data/a'}
    concat = {'type': 'ConcatDataset', 'datasets': [leaf, dict(leaf, data_root='data/b')]}
    return Config(
        {
            'model': {'type': 'EncoderDecoder', 'decode_head': {'type': 'mmdiffseg.DDPHead'}},
            'train_dataloader': {
                'sampler': {'type': 'InfiniteSampler'},
                'dataset': {'type': 'RepeatDataset', 'times': 2, 'dataset': concat},
            },
            'test_dataloader': {'dataset': leaf},
        }
    )


def test_data_root_reaches_wrapped_datasets(cfg):
    launch.set_data_root(cfg, 'elsewhere')
    train = cfg.train_dataloader.dataset.dataset.datasets
    assert [inner.data_root for inner in train] == ['elsewhere'] * 2
    assert cfg.test_dataloader.dataset.data_root == 'elsewhere'


def test_split_changes_what_the_config_says(cfg):
    cfg.splits = {
        f'fold-{number}': {
            'train_dataloader.dataset.times': number,
            'test_dataloader.dataset.fold.number': number,
        }
        for number in (1, 3)
    }
    launch.set_split(cfg, 'fold-3')
    assert cfg.train_dataloader.dataset.times == cfg.test_dataloader.dataset.fold.number == 3
    assert cfg.test_dataloader.dataset.data_root == 'data/a'


def test_split_that_the_config_does_not_have(cfg):
    with pytest.raises(ValueError, match='--split val: .* has no splits'):
        launch.set_split(cfg, 'val')
    cfg.splits = {'testA': {}, 'testB': {}}
    with pytest.raises(ValueError, match='--split val: the splits of .* are testA, testB'):
        launch.set_split(cfg, 'val')


def test_data_root_reaches_metrics_that_read_annotations(cfg):
    cfg.test_evaluator = [
        dict(type='CocoMetric', ann_file='data/a/instances.json'),
        dict(type='CocoPanopticMetric', ann_file='data/ab/p.json', seg_prefix='data/a/png'),
        dict(type='SemSegMetric'),
    ]
    launch.set_data_root(cfg, 'elsewhere/coco')
    instances, panoptic, semantic = cfg.test_evaluator
    assert instances.ann_file == 'elsewhere/coco/instances.json'
    assert (panoptic.ann_file, panoptic.seg_prefix) == ('data/ab/p.json', 'elsewhere/coco/png')
    assert semantic == dict(type='SemSegMetric')


def test_missing_data_root_is_named(cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match="data_root 'data/a' .* pass --data-root"):
        launch.check_data_roots(cfg, 'test')
    launch.set_data_root(cfg, str(tmp_path))
    launch.check_data_roots(cfg, 'train', 'val', 'test')


@pytest.fixture
def heads():
    """Stand-ins for heads and a model of ours, registered for one test."""

    class Diffuses:
        def __init__(self, *, steps, seed):
            pass

    class Inherits(Diffuses):
        def __init__(self, **kwargs):
            pass

    class Plain:
        def __init__(self, *, channels):
            pass

    kinds = (Diffuses, Inherits, Plain)
    for kind in kinds:
        MODELS.register_module(module=kind)
    yield
    for kind in kinds:
        MODELS.module_dict.pop(kind.__name__)


@pytest.mark.parametrize('head', ['Diffuses', 'Inherits'])
@pytest.mark.parametrize('place', ['decode_head', 'panoptic_head'])
def test_head_options_reach_the_head_that_takes_them(cfg, heads, head, place):
    cfg.model = {'type': 'mmdiffseg.Plain', place: {'type': f'mmdiffseg.{head}'}}
    launch.set_head_option(cfg, 'steps', 7)
    assert cfg.model[place].steps == 7


def test_a_model_without_a_head_may_take_the_option_itself(cfg, heads):
    cfg.model = {'type': 'mmdiffseg.Diffuses'}
    launch.set_head_option(cfg, 'seed', 9)
    assert cfg.model.seed == 9


def test_an_option_that_does_not_apply_says_to_whom_it_does(cfg, heads):
    sentence = '--steps 7 is for models that sample, such as DDP, .*: {} takes no steps'
    cfg.model.decode_head = {'type': 'FCNHead'}
    with pytest.raises(ValueError, match=sentence.format('FCNHead')):
        launch.set_head_option(cfg, 'steps', 7)
    cfg.model = {'type': 'mmdiffseg.RefDiff'}
    with pytest.raises(ValueError, match=sentence.format('mmdiffseg.RefDiff')):
        launch.set_head_option(cfg, 'steps', 7)
    cfg.model = {'type': 'mmdiffseg.Nobody'}
    with pytest.raises(ValueError, match="type='mmdiffseg.Nobody' is not a registered model"):
        launch.set_head_option(cfg, 'steps', 7)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint .*none.pth'):
        launch.check_checkpoint(str(tmp_path / 'none.pth'))
    launch.check_checkpoint(str(tmp_path))  # a sharded one is a folder
    launch.check_checkpoint('https://example.org/model.pth')


def test_only_a_metric_that_can_write_writes_label_maps(cfg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg.test_evaluator = dict(type='IoUMetric')
    launch.set_output_dir(cfg, 'labels')
    assert cfg.test_evaluator.output_dir == 'labels'
    cfg.test_evaluator = [dict(type='mmdiffseg.RefIoUMetric'), dict(type='IoUMetric')]
    launch.set_output_dir(cfg, 'labels')
    assert cfg.test_evaluator == [
        dict(type='mmdiffseg.RefIoUMetric'),
        dict(type='IoUMetric', output_dir='labels'),
    ]
    cfg.test_evaluator = dict(type='mmdiffseg.RefIoUMetric')
    with pytest.raises(ValueError, match='mmdiffseg.RefIoUMetric does not: leave it out'):
        launch.set_output_dir(cfg, 'labels')
    cfg.default_scope = 'mmdet'
    with pytest.raises(ValueError, match='--out labels is for .*outfile_prefix=PREFIX'):
        launch.set_output_dir(cfg, 'labels')


def test_label_maps_are_not_written_over_the_truth(tmp_path):
    labels = tmp_path / 'labels/val'
    labels.mkdir(parents=True)
    dataset = dict(type='x', data_root=str(tmp_path), data_prefix=dict(seg_map_path='labels/val'))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset), test_evaluator=dict(type='IoUMetric')))
    with pytest.raises(FileExistsError, match='among the inputs'):
        launch.set_output_dir(cfg, str(labels), overwrite=True)
    launch.set_output_dir(cfg, str(tmp_path / 'predicted'))


def test_only_a_diffusion_head_is_shown_as_one(cfg):
    launch.show_diffusion(cfg)
    assert cfg.model.type == 'mmdiffseg.DiffusionEncoderDecoder'
    cfg.model = {'type': 'EncoderDecoder', 'decode_head': {'type': 'FCNHead'}}
    launch.show_diffusion(cfg)
    assert cfg.model.type == 'EncoderDecoder'
    cfg.model = {'type': 'DepthEstimator', 'decode_head': {'type': 'mmdiffseg.DDPDepthHead'}}
    launch.show_diffusion(cfg)
    assert cfg.model.type == 'mmdiffseg.DiffusionDepthEstimator'


def test_augmentation_is_seeded_once(cfg):
    launch.seed_augmentation(cfg)
    launch.seed_augmentation(cfg)
    loader = cfg.train_dataloader
    assert loader.sampler.type == 'mmdiffseg.SeededInfiniteSampler'
    assert loader.dataset.type == 'mmdiffseg.SeededDataset'
    assert loader.dataset.dataset.type == 'RepeatDataset'
    assert [d.data_root for d in launch.datasets_of(cfg, 'train')] == ['data/a', 'data/b']


def test_another_sampler_is_left_alone(cfg):
    cfg.train_dataloader.sampler.type = 'DefaultSampler'
    launch.seed_augmentation(cfg)
    assert cfg.train_dataloader.dataset.type == 'RepeatDataset'
