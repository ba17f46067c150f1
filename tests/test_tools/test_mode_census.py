import json
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mmdiffseg.evaluation.distributions.sample_files import read_samples, write_samples

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a tool ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool of analysis_tools in this process."""

    def run(tool, *args):
        script = str(ROOT / 'tools/analysis_tools' / tool)
        monkeypatch.setattr(sys, 'argv', [script, *map(str, args)])
        code = 0
        try:
            runpy.run_path(script, run_name='__main__')
        except SystemExit as end:
            code = end.code
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def samples(tmp_path):
    """One picture of two modes; three samples near the first, one near the second."""
    modes = np.zeros((2, 8, 8), dtype=np.uint8)
    modes[0, :4], modes[1, 4:] = 1, 1
    drawn = modes[[0, 0, 0, 1]].copy()
    drawn[0, 3] = 0  # not quite
    (tmp_path / 'mine').mkdir()
    write_samples(
        tmp_path / 'mine/a.npz', samples=drawn, raters=modes, weights=np.array([0.6, 0.4])
    )
    habits = {'a': {'mode01': [['x', [], 0.4], ['y', [], 0.2]], 'mode02': [['y', [], 0.4]]}}
    (tmp_path / 'habits.json').write_text(json.dumps(habits))
    return tmp_path


def test_frequencies_of_the_habits(samples, run):
    done = run(
        'mode_census.py',
        samples / 'mine',
        '--habits',
        samples / 'habits.json',
        '--out-dir',
        samples / 'out',
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((samples / 'out/mode_census.json').read_text())['mine']
    assert record['truth'] == pytest.approx(dict(x=0.4, y=0.6))
    # three of four at mode01, of which two thirds are x's
    assert record['found'] == pytest.approx(dict(x=0.5, y=0.5))
    assert record['coherence'] == 0.75 and record['draws'] == 4
    assert (samples / 'out/mode_census.png').is_file()
    assert '10.0' in done.stdout


def test_habits_of_another_data_set_are_refused(samples, run):
    (samples / 'habits.json').write_text(json.dumps({'a': {'mode01': [['x', [], 1.0]]}}))
    done = run('mode_census.py', samples / 'mine', '--habits', samples / 'habits.json')
    assert done.returncode == 2 and 'they are of another data set' in done.stderr
    (samples / 'habits.json').write_text('{}')
    done = run('mode_census.py', samples / 'mine', '--habits', samples / 'habits.json')
    assert done.returncode == 2 and 'not among the habits' in done.stderr


def test_a_perfect_denoiser_walks_the_chains_of_a_config(tmp_path, run):
    size = ['--train', 1, '--val', 1, '--size', 32, 32]
    made = run('../dataset_converters/ambiguous_shapes.py', '--out', tmp_path / 'data', *size)
    assert made.returncode == 0, made.stderr
    config = ROOT / 'configs/stochastic/categorical_ambiguous-shapes.py'
    args = [config, '--data-root', tmp_path / 'data', '--out-dir', tmp_path / 'out']
    sampler = 'model.decode_head.diffusion_sampler'
    alone = ['coupling=independent', 'persistence=0', 'final=sample']
    alone = [f'{sampler}.{option}' for option in alone]
    steps = ['--steps', 1, 60, '--generations', 4, '--cfg-options', *alone]
    done = run('perfect_denoiser.py', *args, *steps)
    assert done.returncode == 0, done.stderr

    def exact(folder):
        shares = []
        for path in sorted((tmp_path / 'out' / folder).glob('*.npz')):
            maps = read_samples(path)
            same = (maps['samples'][:, None] == maps['raters'][None]).all((2, 3))
            shares.append(same.any(axis=1).mean())
        return np.mean(shares)

    assert exact('steps_60') == 1  # whole answers
    assert exact('steps_1') < 1
    done = run('perfect_denoiser.py', *args)
    assert done.returncode == 2 and 'is not empty' in done.stderr

    # the config can be changed, and flows are walked too
    config = ROOT / 'configs/stochastic/flow_ambiguous-shapes.py'
    options = ['--out-dir', tmp_path / 'flow', '--steps', 10, '--images', 1, '--cfg-options']
    changes = f'{sampler}.type=mmdiffseg.HeunSampler'
    done = run('perfect_denoiser.py', config, '--data-root', tmp_path / 'data', *options, changes)
    assert done.returncode == 0, done.stderr
    maps = read_samples(next((tmp_path / 'flow/steps_10').glob('*.npz')))
    assert maps['samples'].shape == (16, 32, 32)
    wrong = changes.replace('type=mmdiffseg.HeunSampler', 'spacing=backwards')
    done = run('perfect_denoiser.py', args[0], *args[1:3], *options[2:], wrong)
    assert done.returncode == 2 and 'backwards' in done.stderr


def test_each_mode_counts_for_itself_without_habits(samples, run):
    """Pixels that a rater ignores do not count, nor do classes that are not asked for."""
    modes = np.zeros((2, 8, 8), dtype=np.uint8)
    modes[0, :4], modes[1, :4], modes[:, 7] = 1, 2, 255
    drawn = modes[[0, 1, 1, 1]].copy()
    drawn[0, 7], drawn[1, 5] = 1, 3
    (samples / 'flips').mkdir()
    weights = np.array([0.3, 0.7])
    write_samples(samples / 'flips/a.npz', samples=drawn, raters=modes, weights=weights)
    args = ['--classes', 1, 2, '--out-dir', samples / 'out']
    done = run('mode_census.py', samples / 'flips', *args)
    assert done.returncode == 0, done.stderr
    record = json.loads((samples / 'out/mode_census.json').read_text())['flips']
    assert record['truth'] == pytest.approx({'mode 1': 0.3, 'mode 2': 0.7})
    assert record['found'] == pytest.approx({'mode 1': 0.25, 'mode 2': 0.75})
    assert record['nearest'] == 0
    write_samples(samples / 'flips/b.npz', samples=drawn, raters=modes[:1])
    done = run('mode_census.py', samples / 'flips', '--out-dir', samples / 'out2')
    assert done.returncode == 2 and '1 to 2 modes' in done.stderr
