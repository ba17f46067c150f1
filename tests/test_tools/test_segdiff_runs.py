"""Whole runs of SegDiff through the command line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from run_records import logged

REPO = Path(__file__).parents[2]
SCORES = ('mIoU', 'F1', 'WCov', 'BoundF', 'ECE', 'Brier')

pytestmark = pytest.mark.recipe

TINY = """
_base_ = {base!r}
model = dict(decode_head=dict(steps=3, generations=2))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=6, val_interval=6)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
"""


@pytest.fixture(scope='module')
def segdiff_config(shapes_root, tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'tiny_segdiff.py'
    base = str(REPO / 'configs/segdiff/segdiff_shapes.py')
    path.write_text(TINY.format(base=base, data=str(shapes_root)))
    return path


@pytest.fixture(scope='module')
def trained_segdiff(segdiff_config, run_tool, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('trained')
    run_tool('train.py', segdiff_config, '--work-dir', work_dir)
    return work_dir


def scores(work_dir):
    log = sorted(Path(work_dir).glob('*/[0-9]*.json'))[-1]
    record = json.loads(log.read_text())
    return {key: record[key] for key in SCORES}


def test_a_killed_and_resumed_run_continues_exactly(
    segdiff_config, trained_segdiff, environ, run_tool, tmp_path
):
    assert logged(trained_segdiff, 'skipped_updates') == dict.fromkeys(range(1, 7), 0)
    command = [sys.executable, REPO / 'tools/train.py', segdiff_config, '--work-dir', tmp_path]
    victim = subprocess.Popen(
        [*map(str, command), '--resume'],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / 'last_checkpoint').exists():
        assert victim.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    run_tool('train.py', segdiff_config, '--work-dir', tmp_path, '--resume')
    assert logged(tmp_path, 'loss') == logged(trained_segdiff, 'loss')
    # validated with the averaged weights, which therefore survived as well
    assert logged(tmp_path, 'mIoU') == logged(trained_segdiff, 'mIoU')


def test_testing_writes_masks_calibration_panels_and_films(
    segdiff_config, trained_segdiff, run_tool, tmp_path
):
    run_tool(
        'test.py',
        *(segdiff_config, trained_segdiff / 'iter_6.pth', '--work-dir', tmp_path / 'work'),
        *('--out', tmp_path / 'out', '--show-dir', tmp_path / 'show', '--film'),
    )
    assert all(0 <= value <= 100 for value in scores(tmp_path / 'work').values())
    assert scores(tmp_path / 'work')['mIoU'] == logged(trained_segdiff, 'mIoU')[6]
    names = ['000000', '000001', '000002']
    for folder, suffix in (
        ('out/masks', 'png'),
        ('out/probabilities', 'png'),
        ('show', 'png'),
        ('show', 'gif'),
    ):
        assert sorted(path.stem for path in (tmp_path / folder).glob(f'*.{suffix}')) == names
    assert (tmp_path / 'out/reliability.png').is_file()
    with Image.open(tmp_path / 'show/000000.gif') as film:
        assert film.n_frames == 10


def test_two_processes_measure_what_one_measures(
    segdiff_config, trained_segdiff, run_tool, tmp_path
):
    checkpoint = trained_segdiff / 'iter_6.pth'
    run_tool('test.py', segdiff_config, checkpoint, '--work-dir', tmp_path / 'one')
    options = ('--work-dir', tmp_path / 'two')
    run_tool('dist_test.sh', segdiff_config, checkpoint, 2, *options, launcher='bash')
    assert scores(tmp_path / 'two') == pytest.approx(scores(tmp_path / 'one'), abs=1e-3)


def test_generations_against_quality(segdiff_config, trained_segdiff, run_tool, tmp_path):
    printed = run_tool(
        'analysis_tools/generations_vs_quality.py',
        *(segdiff_config, trained_segdiff / 'iter_6.pth', '--out-dir', tmp_path),
        *('--generations', 1, 3, '--chains', 'ddpm:3', 'ddim:2'),
    )
    rows = json.loads((tmp_path / 'generations_vs_quality.json').read_text())['rows']
    assert [(row['sampler'], row['steps'], row['generations']) for row in rows] == [
        ('ddpm', 3, 1),
        ('ddpm', 3, 3),
        ('ddim', 2, 1),
        ('ddim', 2, 3),
    ]
    assert 'mIoU' in printed
    assert (tmp_path / 'generations_vs_quality.png').stat().st_size > 10_000


def test_generations_at_once_equal_one_by_one(segdiff_config, run_tool):
    printed = run_tool(
        'analysis_tools/generation_cost.py',
        *(segdiff_config, '--steps', 3, '--generations', 2, '--size', 32, 32, '--runs', 1),
        *('--threads', 1),
    )
    difference, _, scale = printed.strip().splitlines()[-1].split()[-3:]
    assert float(difference) < 1e-4 * float(scale)
