import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which('make') is None, reason='needs make')


def make(*args):
    # the tests may themselves run under make, which hands its options down
    inherited = ('VENV', 'MAKEFLAGS', 'MAKELEVEL', 'MFLAGS')
    environment = {k: v for k, v in os.environ.items() if k not in inherited}
    return subprocess.run(
        ['make', *args], cwd=ROOT, capture_output=True, text=True, env=environment
    )


def script(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{body}\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ('target', 'command'),
    [
        ('demo', 'demo/nuclei_demo.py'),
        ('demo', 'demo/shapes_demo.py'),
        ('test', '-m pytest'),
        ('test-recipe', '-m pytest -m recipe'),
        ('gpu-report', 'tools/gpu_report.py'),
        ('lint', 'ruff format --check'),
        ('release-check', 'tools/misc/release_check.sh'),
    ],
)
def test_every_target_sets_up_first(target, command, tmp_path):
    lines = make('-n', target, f'VENV={tmp_path}/env').stdout
    order = [lines.index(part) for part in ('-m venv', 'pip install --quiet uv', command)]
    assert order == sorted(order)


def test_a_finished_environment_is_used_as_it_is(tmp_path):
    script(tmp_path / 'bin' / 'python', 'exit 1')
    (tmp_path / '.mmdiffseg-onedl').touch()
    done = make('-n', 'test', f'VENV={tmp_path}')
    assert (
        done.stdout.strip()
        == f'OMP_NUM_THREADS=1 {tmp_path}/bin/python -m pytest -n 2 --dist loadfile'
    )


def test_the_quick_demo_trains_nothing(tmp_path):
    script(tmp_path / 'bin' / 'python', 'exit 1')
    (tmp_path / '.mmdiffseg-onedl').touch()
    done = make('-n', 'demo', 'DEMO=quick', f'VENV={tmp_path}')
    assert done.stdout.strip() == f'{tmp_path}/bin/python demo/nuclei_demo.py'


def fake_environment(folder, *, uv):
    """An environment whose Python writes its arguments to a log and holds a torch."""
    body = f"""echo "$@" >> {folder}/log
case "$*" in
  '-m pip list'*) echo numpy==2.0.0; echo torch==2.13.0+cpu; echo torchvision==0.28.0 ;;
  '-m uv'*|*'install --quiet uv') exit {0 if uv else 1} ;;
esac"""
    script(folder / 'bin' / 'python', body)
    return folder


@pytest.mark.parametrize(('uv', 'installer'), [(True, '-m uv pip install'), (False, '-m pip')])
def test_a_torch_that_is_there_is_kept_with_uv_and_without(tmp_path, uv, installer):
    folder = fake_environment(tmp_path, uv=uv)
    done = make('install', f'VENV={folder}')
    assert done.returncode == 0, done.stderr
    assert (folder / 'constraints.txt').read_text() == 'torch==2.13.0+cpu\n'
    last = (folder / 'log').read_text().splitlines()[-1]
    assert last.startswith(installer)
    assert last.endswith(f'-c {folder}/constraints.txt -e .[onedl,latent,demo,tests]')


@pytest.mark.parametrize('line', ['onedl', 'openmmlab'])
def test_each_line_has_its_extra_and_its_own_mark(tmp_path, line):
    folder = fake_environment(tmp_path, uv=True)
    assert make('install', f'VENV={folder}', f'LINE={line}').returncode == 0
    assert (folder / f'.mmdiffseg-{line}').exists()
    assert (folder / 'log').read_text().strip().endswith(f'-e .[{line},latent,demo,tests]')


@pytest.mark.parametrize(
    ('python', 'sentence'),
    [
        ('exit 1', 'mmdiffseg needs Python 3.10 or newer'),
        ('case "$*" in *ensurepip*) exit 1 ;; esac', 'cannot make a virtual environment'),
    ],
)
def test_an_unfit_python_gets_one_sentence(tmp_path, python, sentence):
    fake = script(tmp_path / 'python', python)
    done = make('install', f'VENV={tmp_path}/env', f'PYTHON={fake}')
    assert done.returncode != 0
    assert sentence in done.stdout
    assert not (tmp_path / 'env').exists()
