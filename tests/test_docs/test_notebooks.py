import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmdiffseg.apis.load import shipped_models

NOTEBOOKS = Path(__file__).parents[2] / 'docs/notebooks'


def run(name, folder):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name('run_notebook.py'), NOTEBOOKS / name],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif('nuclei' not in shipped_models(), reason='needs the shipped model nuclei')
def test_first_steps(tmp_path):
    told = run('first_steps.ipynb', tmp_path)
    assert 'picture of' in told
    assert 'of the pixels are' in told
    assert list(tmp_path.iterdir()) == []  # it leaves nothing behind


@pytest.mark.skipif(
    find_spec('mmdiffseg.apis.train_on_folder') is None, reason='needs the training on folders'
)
def test_own_data(tmp_path):
    told = run('own_data.ipynb', tmp_path)
    assert 'picture of' in told
    assert 'config.py\nmodel\npreview.png\nreport.json' in told
    assert '20 iterations' in told


def test_notebooks_are_stored_without_outputs():
    for path in NOTEBOOKS.glob('*.ipynb'):
        cells = json.loads(path.read_text())['cells']
        assert len(cells) > 3
        for cell in cells:
            assert cell.get('outputs', []) == [] and cell.get('execution_count') is None, path.name
