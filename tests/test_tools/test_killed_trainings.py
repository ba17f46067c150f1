"""Trainings that are killed, inside a save or anywhere, go on to the same weights, bit by bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPO = HERE.parents[1]

pytestmark = pytest.mark.recipe

CONFIG = """
_base_ = {base!r}
model = dict({model})
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
val_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=6, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=1), logger=dict(interval=1))
custom_imports = dict(imports=['mmdiffseg', 'stop_probe'], allow_failed_imports=False)
"""
METHODS = {
    'ddp': ('ddp/ddp_r18_shapes.py', 'data_preprocessor=dict(size=(64, 64))'),
    'segdiff': ('segdiff/segdiff_shapes.py', 'decode_head=dict(steps=3, generations=2)'),
}
# POINT:NAME:TIME, see stop_probe.py; a new best has iter_2.pth written a second time
POINTS = [
    'opened:iter_4.pth:1',
    'half:iter_4.pth:1',
    'written:iter_4.pth:1',
    'flushed:iter_4.pth:1',
    'renamed:iter_4.pth:1',
    'pointed:iter_4.pth:1',
    'removed:iter_4.pth:1',
    'half:iter_2.pth:1',
    'half:iter_2.pth:2',
    'half:best_mIoU:1',
]


@pytest.fixture
def killed(shapes_root, environ, tmp_path):
    """Kill trainings of a method at some points; a record of each."""

    def run(method, *options):
        base, model = METHODS[method]
        config = tmp_path / f'{method}.py'
        text = CONFIG.format(base=str(REPO / 'configs' / base), model=model, data=str(shapes_root))
        config.write_text(text)
        command = [sys.executable, HERE / 'kill_trainings.py', config, tmp_path, *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environ)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]

    return run


@pytest.mark.parametrize('method', METHODS)
def test_every_killed_training_ends_as_if_it_had_not_been(killed, method):
    records = killed(method, '--random', 2, *POINTS)
    assert [record['point'] for record in records[: len(POINTS)]] == POINTS
    assert all(record['killed'] for record in records[: len(POINTS)]), records
    assert all(record['resumed'] and record['equal'] for record in records), records
    # the first save is the only one before which there is nothing to keep
    bare = [r['point'] for r in records[: len(POINTS)] if not any_whole(r['left'])]
    assert bare == ['half:iter_2.pth:1']


def any_whole(names):
    return any(name.startswith('iter_') and name.endswith('.pth') for name in names)


def test_two_processes(killed):
    for record in killed('ddp', '--processes', 2, 'half:iter_4.pth:1', 'half:iter_2.pth:2'):
        assert record['killed'] and record['resumed'] and record['equal'], record
