import pytest
from mmengine.config import Config

from mmdiffseg.engine import launch


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


def test_head_options_reach_a_diffusion_head_only(cfg):
    launch.set_head_option(cfg, 'steps', 7)
    assert cfg.model.decode_head.steps == 7
    cfg.model.decode_head = {'type': 'mmdiffseg.DFormerSegHead'}  # takes it as its base does
    launch.set_head_option(cfg, 'steps', 8)
    assert cfg.model.decode_head.steps == 8
    cfg.model.decode_head = {'type': 'FCNHead'}
    with pytest.raises(ValueError, match='FCNHead takes no steps'):
        launch.set_head_option(cfg, 'steps', 7)
    cfg.model = dict(type='Mask2Former', panoptic_head=dict(type='mmdiffseg.DFormerHead'))
    launch.set_head_option(cfg, 'seed', 9)
    assert cfg.model.panoptic_head.seed == 9


def test_only_a_metric_of_mmseg_writes_label_maps(cfg):
    cfg.test_evaluator = dict(type='IoUMetric')
    launch.set_output_dir(cfg, 'labels')
    assert cfg.test_evaluator.output_dir == 'labels'
    cfg.default_scope = 'mmdet'
    with pytest.raises(ValueError, match='--out labels is for .*outfile_prefix=PREFIX'):
        launch.set_output_dir(cfg, 'labels')


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
