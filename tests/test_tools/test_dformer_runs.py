"""Whole runs of DFormer through the command line."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from run_records import logged, metrics

CONFIGS = Path(__file__).parents[2] / 'configs/dformer'
SCORES = ('coco_panoptic/PQ', 'coco/segm_mAP', 'mIoU')

pytestmark = pytest.mark.recipe

TINY = """
_base_ = {base!r}
load_from = None
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_iters={iterations}, val_interval={iterations})
default_hooks = dict(checkpoint=dict(interval={interval}), logger=dict(interval=1))
"""

OVERFIT = """
train_dataloader['batch_size'] = 4
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end={iterations}),
]
"""


def write_config(path, *, iterations, interval, model='dformer', more=''):
    base = str(CONFIGS / f'{model}_r18_shapes-panoptic.py')
    text = (TINY + more).format(base=base, iterations=iterations, interval=interval)
    path.write_text(text)
    return path


@pytest.fixture(scope='module')
def trained_dformer(shapes_root, run_tool, tmp_path_factory):
    """Config and work dir of a finished run."""
    folder = tmp_path_factory.mktemp('dformer')
    config = write_config(folder / 'tiny.py', iterations=4, interval=2)
    run_tool('train.py', config, '--data-root', shapes_root, '--work-dir', folder / 'work')
    return config, folder / 'work'


def test_a_resumed_run_continues_exactly(trained_dformer, shapes_root, run_tool, tmp_path):
    config, work_dir = trained_dformer
    run_tool(
        'train.py',
        *(config, '--data-root', shapes_root, '--work-dir', tmp_path),
        *('--resume', work_dir / 'iter_2.pth'),
    )
    losses = logged(work_dir, 'loss')
    assert logged(tmp_path, 'loss') == {3: losses[3], 4: losses[4]}
    for score in SCORES:
        assert logged(tmp_path, score) == logged(work_dir, score)


def test_one_test_scores_and_draws_all_tasks(trained_dformer, shapes_root, run_tool, tmp_path):
    config, work_dir = trained_dformer
    run_tool(
        'test.py',
        *(config, work_dir / 'iter_4.pth', '--data-root', shapes_root, '--steps', 2),
        *('--work-dir', tmp_path / 'work', '--show-dir', tmp_path / 'show'),
    )
    scores = metrics(tmp_path / 'work', SCORES)
    assert all(0 <= value <= 100 for value in scores.values())
    pages = sorted((tmp_path / 'show').glob('*.png'))
    assert [page.stem for page in pages] == ['000000', '000001', '000002']
    with Image.open(pages[0]) as page:
        assert page.width == 3 * 256 + 4 * 8  # image, truth, panoptic; instances, semantic


def test_the_baseline_trains_on_the_same_data(shapes_root, run_tool, tmp_path):
    config = write_config(tmp_path / 'tiny.py', model='mask2former', iterations=2, interval=2)
    run_tool('train.py', config, '--data-root', shapes_root, '--work-dir', tmp_path)
    assert all(logged(tmp_path, name) for name in ('loss', *SCORES))


def test_it_learns_eight_images_by_heart(make_shapes, run_tool, tmp_path):
    root = tmp_path / 'shapes'
    done = make_shapes(root, '--train', 8, '--val', 8, '--size', 64, 64, '--shapes', 1, 4)
    assert done.returncode == 0, done.stderr
    for folder in ('images', 'panoptic'):
        shutil.copytree(root / folder / 'train', root / folder / 'val', dirs_exist_ok=True)
    for kind in ('instances', 'panoptic'):
        annotations = root / 'annotations'
        shutil.copy(annotations / f'{kind}_train.json', annotations / f'{kind}_val.json')
    config = write_config(tmp_path / 'overfit.py', iterations=400, interval=400, more=OVERFIT)
    run_tool('train.py', config, '--data-root', root, '--work-dir', tmp_path / 'work')
    assert logged(tmp_path / 'work', 'coco_panoptic/PQ')[400] > 80
