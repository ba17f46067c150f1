import pytest
from mmengine.config import Config

from mmdiffseg.engine.config_checks import check_settings

SLIDE = dict(mode='slide', crop_size=(64, 64), stride=(32, 32))


def test_sound_settings_pass():
    part = dict(init_cfg=[dict(type='Normal'), dict(type='Pretrained', checkpoint='a.pth')])
    heads = dict(num_things_classes=6, num_stuff_classes=1)
    check_settings(Config(dict(data=1)))
    check_settings(Config(dict(model=dict(init_cfg=None, test_cfg=SLIDE, parts=[part]))))
    check_settings(Config(dict(model=dict(panoptic_head=heads, panoptic_fusion_head=heads))))


@pytest.mark.parametrize(
    'model, sentence',
    [
        (dict(backbone=dict(init_cfg=dict(checkpoint='a.pth'))), "'a.pth'} has no type: add type="),
        (dict(parts=[dict(init_cfg=[dict(std=1)])]), "{'std': 1} has no type"),
        (dict(test_cfg=dict(SLIDE, stride=(0, 32))), r'got \(64, 64\) and \(0, 32\)'),
        (dict(test_cfg=dict(SLIDE, stride=(65, 32))), '1 <= stride <= crop_size'),
        (dict(test_cfg=dict(SLIDE, crop_size=64)), r'each \(height, width\)'),
        (dict(test_cfg=dict(mode='slide')), 'got None and None'),
        (dict(data_preprocessor=dict(std=[0, 1, 1])), r'std must be positive, got \[0, 1, 1\]'),
        (
            dict(
                panoptic_head=dict(num_stuff_classes=5),
                panoptic_fusion_head=dict(num_stuff_classes=1),
            ),
            'panoptic_head.num_stuff_classes is 5 and panoptic_fusion_head.num_stuff_classes 1',
        ),
    ],
)
def test_others_are_refused(model, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_settings(Config(dict(model=model)))


def test_parts_are_dictionaries():
    with pytest.raises(ValueError, match='model=3 must be a dictionary'):
        check_settings(Config(dict(model=3)))
    check_settings(Config(dict(model=None, val_dataloader=None)))


@pytest.mark.parametrize(
    'parts, sentence',
    [
        (dict(train_cfg=dict(max_iters=0)), 'train_cfg.max_iters must be at least 1, got 0'),
        (dict(train_cfg=dict(max_epochs=-1)), 'train_cfg.max_epochs must be at least 1, got -1'),
        (dict(default_hooks=dict(checkpoint=dict(interval=0))), 'interval=0 would never save'),
    ],
)
def test_a_training_has_iterations_and_saves(parts, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_settings(Config(parts))
    kept = dict(default_hooks=dict(checkpoint=dict(interval=-1)), train_cfg=dict(max_iters=1))
    check_settings(Config(kept))
