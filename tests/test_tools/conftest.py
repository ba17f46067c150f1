import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mmdiffseg.engine import command_line

REPO = Path(__file__).parents[2]
TOOLS = REPO / 'tools'

# the tools import what lies beside them, and configs read in this process the probe
TOOL_FOLDERS = [
    TOOLS / name for name in ('analysis_tools', 'dataset_converters', 'misc', 'model_converters')
]
sys.path[:0] = map(str, [*TOOL_FOLDERS, Path(__file__).parent])

TINY = """
_base_ = {base!r}
model = dict(data_preprocessor=dict(size=(64, 64)))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
val_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=6, val_interval=6)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
custom_imports = dict(imports=['mmdiffseg', 'rank_probe'], allow_failed_imports=False)
custom_hooks = [*_base_.custom_hooks, dict(type='RankProbe')]
"""


@pytest.fixture(scope='session')
def tiny_config(shapes_root, tmp_path_factory):
    """The config of the demo on a handful of small pictures, for six iterations."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    base = str(REPO / 'configs/ddp/ddp_r18_shapes.py')
    path.write_text(TINY.format(base=base, data=str(shapes_root)))
    return path


@pytest.fixture(scope='session')
def environ():
    """Environment of a tool: this Python first, one thread, the probe importable."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    # beside what the caller put there, such as the package in another working tree
    packages = [str(Path(__file__).parent), *filter(None, [os.environ.get('PYTHONPATH')])]
    return {
        **os.environ,
        'PATH': path,
        'PYTHONPATH': os.pathsep.join(packages),
        'OMP_NUM_THREADS': '1',
    }


@pytest.fixture(scope='session')
def run_tool(environ):
    """Run a script of tools/ in a process of its own, and expect it to succeed."""

    def run(name, *args, launcher=sys.executable):
        command = list(map(str, [launcher, TOOLS / name, *args]))
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=900)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture
def call_tool(monkeypatch, tmp_path):
    """Run a script of tools/ in this process, where its errors can be caught."""

    def call(name, *args):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        monkeypatch.setattr(command_line, 'run', lambda main, parse_args: main(parse_args()))
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(TOOLS / name), run_name='__main__')

    return call


@pytest.fixture
def refused(call_tool, capsys):
    """Run a script of tools/ that ends before its work is done; what it says then."""

    def run(name, *args):
        with pytest.raises(SystemExit) as caught:
            call_tool(name, *args)
        return f'{caught.value}{capsys.readouterr().err}'

    return run


@pytest.fixture(scope='session')
def trained(tiny_config, run_tool, tmp_path_factory):
    """Work dir of a finished run of the tiny config."""
    work_dir = tmp_path_factory.mktemp('trained')
    run_tool('train.py', tiny_config, '--work-dir', work_dir)
    return work_dir
