"""Whole runs through the command line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_records import logged, metrics

from mmdiffseg.datasets import ShapesDataset

TOOLS = Path(__file__).parents[2] / 'tools'

pytestmark = pytest.mark.recipe


def test_training_validates_and_saves(trained):
    assert sorted(logged(trained, 'loss')) == [1, 2, 3, 4, 5, 6]
    assert logged(trained, 'mIoU').keys() == {6}
    assert {path.name for path in trained.glob('iter_*.pth')} == {
        'iter_2.pth',
        'iter_4.pth',
        'iter_6.pth',
    }


def test_testing_writes_labels_panels_and_films(tiny_config, trained, run_tool, tmp_path):
    run_tool(
        'test.py',
        *(tiny_config, trained / 'iter_6.pth'),
        *('--work-dir', tmp_path / 'work', '--steps', 2),
        *('--out', tmp_path / 'labels', '--show-dir', tmp_path / 'show', '--film'),
    )
    assert 0 <= metrics(tmp_path / 'work')['mIoU'] <= 100
    names = ['000000', '000001', '000002']
    assert sorted(path.stem for path in (tmp_path / 'labels').glob('*.png')) == names
    assert sorted(path.stem for path in (tmp_path / 'show').glob('*.png')) == names
    assert sorted(path.stem for path in (tmp_path / 'show').glob('*.gif')) == names
    labels = np.asarray(Image.open(tmp_path / 'labels/000000.png'))
    assert labels.shape == (64, 64) and labels.max() < len(ShapesDataset.METAINFO['classes'])

    run_tool(
        'analysis_tools/confusion_matrix.py', tiny_config, tmp_path / 'labels', tmp_path / 'matrix'
    )
    matrix = np.load(tmp_path / 'matrix/confusion_matrix.npy')
    assert matrix.sum() == 3 * 64 * 64
    accuracy = 100 * np.trace(matrix) / matrix.sum()
    assert accuracy == pytest.approx(metrics(tmp_path / 'work')['aAcc'], abs=0.01)


def test_test_time_augmentation(tiny_config, trained, run_tool, tmp_path):
    run_tool('test.py', tiny_config, trained / 'iter_6.pth', '--work-dir', tmp_path, '--tta')
    assert 0 <= metrics(tmp_path)['mIoU'] <= 100


def test_killed_and_resumed_run_continues_exactly(
    tiny_config, trained, environ, run_tool, tmp_path
):
    command = [sys.executable, TOOLS / 'train.py', tiny_config, '--work-dir', tmp_path, '--resume']
    victim = subprocess.Popen(
        list(map(str, command)), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / 'last_checkpoint').exists():
        assert victim.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    begun = Path((tmp_path / 'last_checkpoint').read_text()).stem
    assert begun in ('iter_2', 'iter_4')

    run_tool('train.py', tiny_config, '--work-dir', tmp_path, '--resume')
    assert logged(tmp_path, 'loss') == logged(trained, 'loss')
    assert logged(tmp_path, 'mIoU') == logged(trained, 'mIoU')


def test_two_processes_measure_what_one_measures(tiny_config, trained, run_tool, tmp_path):
    checkpoint = trained / 'iter_6.pth'
    run_tool('test.py', tiny_config, checkpoint, '--work-dir', tmp_path / 'one')
    options = ('--work-dir', tmp_path / 'two', '--show-dir', tmp_path / 'show')
    run_tool('dist_test.sh', tiny_config, checkpoint, 2, *options, launcher='bash')
    assert metrics(tmp_path / 'two') == metrics(tmp_path / 'one')
    assert len(list((tmp_path / 'show').glob('*.png'))) == 3


def test_two_processes_train_on_different_noise(tiny_config, trained, run_tool, tmp_path):
    run_tool('dist_train.sh', tiny_config, 2, '--work-dir', tmp_path, launcher='bash')
    assert sorted(logged(tmp_path, 'loss')) == [1, 2, 3, 4, 5, 6]
    noise = [(tmp_path / f'noise_{rank}.txt').read_text().splitlines() for rank in range(2)]
    assert len(noise[0]) == len(noise[1]) == 6
    assert not set(noise[0]) & set(noise[1])
    # rank 0 draws what a single process draws
    assert noise[0] == (trained / 'noise_0.txt').read_text().splitlines()


def test_steps_against_quality(tiny_config, trained, run_tool, tmp_path):
    tool = 'analysis_tools/steps_vs_quality.py'
    twin = tmp_path / 'twin.py'  # has the same parameters, so that the same weights do
    twin.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "model = dict(decode_head=dict(denoiser=dict(type='mmdiffseg.ZeroMapDecoder'), steps=1))\n"
    )
    checkpoint = trained / 'iter_6.pth'
    options = ('--steps', 1, 3, '--twin', twin, checkpoint, '--out-dir', tmp_path)
    run_tool(tool, tiny_config, checkpoint, *options)
    curves = json.loads((tmp_path / 'steps_vs_quality.json').read_text())['mean_iou']
    assert list(curves) == ['own chain', 'along chain', 'frozen time', 'fresh noise', 'twin']
    assert curves['twin']['1'] == curves['twin']['3'] != curves['own chain']['3']
    assert (tmp_path / 'steps_vs_quality.png').stat().st_size > 10_000
