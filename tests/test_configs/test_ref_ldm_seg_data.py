"""Every config of Ref LDM-Seg can be read; its data build and its metrics are there."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmdiffseg.engine import launch
from mmdiffseg.registry import METRICS

CONFIGS = Path(__file__).parents[2] / 'configs/ref_ldm_seg'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


@pytest.mark.parametrize('name', NAMES)
def test_config_is_whole(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    many = '-n_' in name
    assert cfg.model.type == f'mmdiffseg.RefLDMSeg{"MultiStep" if many else "OneStep"}'
    launch.set_head_option(cfg, 'seed', 3)
    assert cfg.model.seed == 3 and launch.takes(cfg.model, 'steps') == many
    if many:
        launch.set_head_option(cfg, 'steps', 7)
        assert cfg.model.steps == 7
    init_default_scope('mmseg')
    METRICS.build(cfg.test_evaluator)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            assert 'data_root' in next(launch.datasets_of(cfg, split))
    assert (cfg.get('train_dataloader') is None) == (cfg.get('train_cfg') is None)


@pytest.mark.parametrize('benchmark', ['pascal-5i', 'coco-20i'])
def test_folds_are_set_in_all_loaders(benchmark):
    for arch in ('ldis-1', 'ldis-n'):
        for number in range(4):
            cfg = Config.fromfile(CONFIGS / f'{arch}_{benchmark}.py')
            launch.set_split(cfg, f'fold-{number}')
            parts = dict(train='base', val='novel', test='novel')
            for split, part in parts.items():
                fold = cfg[f'{split}_dataloader'].dataset.fold
                assert fold == dict(benchmark=benchmark, number=number, part=part)


def test_joint_training_runs_its_four_pipelines(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'ldis-1_joint.py')
    rng = np.random.default_rng(0)
    lists = dict(pascal='{"3": ["0", "1", "2"]}', coco='{"3": ["0", "1", "2"]}')
    lists |= dict(davis='{"v": ["v/0", "v/1", "v/2"]}', vspw='{"v:3": ["v/0", "v/1", "v/2"]}')
    loader = cfg.train_dataloader
    for name, part in zip(lists, loader.dataset.dataset.datasets, strict=True):
        root, prefix = tmp_path / name, part.dataset.data_prefix
        folder = 'v/' if name in ('davis', 'vspw') else ''
        for i in range(3):
            mask = np.zeros((300, 400), np.uint8)
            mask[40:260, 40:360] = 255 if name == 'davis' else 3
            image = rng.integers(0, 256, (300, 400, 3), np.uint8)
            for kind, suffix, pixels in (('img', '.jpg', image), ('seg_map', '.png', mask)):
                path = root / prefix[f'{kind}_path'] / f'{folder}{i}{suffix}'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), pixels)
        (root / 'metas').mkdir()
        (root / 'metas/train.json').write_text(lists[name])
        (root / 'metas/train.txt').write_text(''.join(f'{folder}{i}\n' for i in range(3)))
        part.dataset.data_root = str(root)
    loader.update(num_workers=0, persistent_workers=False, batch_size=32)
    loader.sampler.weights = [1, 1, 1, 1]
    init_default_scope('mmseg')
    batch = next(iter(Runner.build_dataloader(loader, seed=1)))
    sets = {Path(s.img_path).relative_to(tmp_path).parts[0] for s in batch['data_samples']}
    assert sets == set(lists)
    for image, sample in zip(batch['inputs']['query'], batch['data_samples'], strict=True):
        assert max(image.shape[1:]) <= 256 and image.shape[1:] == sample.gt_sem_seg.shape
    (prompts,) = batch['inputs']['prompts']
    assert len(prompts) == 32
