"""A report that goes on where it stopped."""

import importlib.util
import json
import shlex
from argparse import Namespace
from pathlib import Path

import pytest

from mmdiffseg.engine import command_line  # noqa: F401  (as the tool imports it)

REPO = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location('gpu_report', REPO / 'tools/gpu_report.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__('sys').modules, 'gpu_report', module)
    spec.loader.exec_module(module)
    return module


def arguments(folder, **changes):
    return Namespace(**{**dict(out=folder, only=None, budget=60, device='cpu'), **changes})


def fake(tool, name, code='', **options):
    return tool.Stage(name=name, title='a title', command=('-c', code), limit=30, **options)


def names(folder):
    return list(json.loads((folder / 'report.json').read_text())['stages'])


def test_a_report_goes_on_where_it_stopped(tool, tmp_path, monkeypatch, capsys):
    write = "import pathlib; pathlib.Path('OUT/figures.json').write_text('[1, 2]'); print('said')"
    plan = [
        fake(tool, 'good', write, figures='figures.json'),
        fake(tool, 'bad', 'import sys; sys.exit(3)'),
        fake(tool, 'after', needs=('bad',)),
    ]
    monkeypatch.setattr(tool, 'stages', lambda device: plan)
    tool.main(arguments(tmp_path))
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['stages']['good']['figures'] == [1, 2]
    assert report['stages']['bad']['code'] == 3
    assert 'after' not in report['stages']
    page = (tmp_path / 'report.md').read_text()
    assert 'There was no GPU' in page and 'failed with code 3' in page and 'said' in page
    capsys.readouterr()

    tool.main(arguments(tmp_path))
    assert 'good:' not in capsys.readouterr().out  # what has run is not run again
    tool.main(arguments(tmp_path, only=['good']))
    assert 'good:' in capsys.readouterr().out


def test_a_stage_is_stopped_at_its_limit(tool, tmp_path):
    stage = fake(tool, 'slow', "import time; print('here', flush=True); time.sleep(60)")
    entry = tool.run(stage, tmp_path, limit=2)
    assert entry['code'] is None and 'here' in entry['said']


def test_an_unknown_stage_is_refused(tool, tmp_path):
    with pytest.raises(ValueError, match="no stage .'fastest'.*'kernels'"):
        tool.main(arguments(tmp_path, only=['fastest']))


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_every_stage_names_what_is_there(tool, device):
    stages = tool.stages(device)
    assert sum(stage.limit for stage in stages) < 2 * tool.BUDGET
    for stage in stages:
        files = [part for part in stage.command if part.endswith('.py')]
        assert files and all((REPO / file).is_file() for file in files), shlex.join(stage.command)
        assert set(stage.needs) <= {other.name for other in stages}
