import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmdiffseg import cli
from mmdiffseg.apis import load as loading
from mmdiffseg.apis.load import load

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs/dformer/fcn_r18_shapes-backbone.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='not trained'):
        model = load(config=CONFIG, device='cpu').model
    path = tmp_path_factory.mktemp('weights') / 'model.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def folder(checkpoint, tmp_path_factory):
    card = dict(summary='Finds shapes.')
    folder = tmp_path_factory.mktemp('models') / 'shapes'
    return load(config=CONFIG, checkpoint=checkpoint, device='cpu').save_pretrained(
        folder, card=card
    )


@pytest.fixture
def pictures(tmp_path):
    """Four pictures, of which the second is damaged."""
    rng = np.random.default_rng(0)
    (tmp_path / 'in').mkdir()
    for number in range(4):
        pixels = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'in/{number}.png')
    (tmp_path / 'in/1.png').write_bytes(b'text')
    return tmp_path / 'in'


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command; returns its exit code, what it printed and what it said of errors."""

    def command(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmdiffseg', *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return command


def test_a_bad_picture_is_named_at_the_end(run, folder, pictures, tmp_path):
    out = tmp_path / 'out'
    code, said, errors = run('predict', folder, pictures, '--out', out, '--device', 'cpu')
    assert code == 1 and 'written  3' in said
    assert '1.png cannot be read as a picture' in errors
    assert sorted(p.name for p in (out / 'labels').iterdir()) == ['0.png', '2.png', '3.png']
    assert len(list((out / 'masks').iterdir())) == len(list((out / 'panels').iterdir())) == 3


def test_a_stopped_run_goes_on(run, folder, pictures, tmp_path):
    arguments = ('predict', folder, pictures, '--out', tmp_path / 'out', '--json')
    (pictures / '1.png').unlink()
    run(*arguments)
    (tmp_path / 'out/labels/3.png').unlink()
    kept = tmp_path / 'out/labels/0.png'
    kept.write_bytes(b'mine')
    code, said, _ = run(*arguments)
    found = json.loads(said)
    assert code == 0 and (found['written'], found['skipped'], found['failed']) == (1, 2, {})
    assert kept.read_bytes() == b'mine' and (tmp_path / 'out/labels/3.png').exists()
    assert json.loads(run(*arguments, '--overwrite')[1])['written'] == 3
    assert kept.read_bytes() != b'mine'


def test_results_of_two_models_are_not_mixed(run, folder, pictures, tmp_path):
    arguments = ('predict', folder, pictures / '0.png', '--out', tmp_path / 'out')
    run(*arguments)
    code, _, errors = run(*arguments, '--seed', 3)
    assert code == 2 and 'holds results with seed None instead of 3: choose another' in errors


def test_processes_share_the_pictures(run, folder, pictures, tmp_path, monkeypatch):
    (pictures / '1.png').unlink()
    names = []
    monkeypatch.setenv('WORLD_SIZE', '2')
    for rank in range(2):
        monkeypatch.setenv('RANK', str(rank))
        run('predict', folder, pictures, '--out', tmp_path / 'out')
        names.append({p.name for p in (tmp_path / 'out/labels').iterdir()})
    assert names == [{'0.png', '3.png'}, {'0.png', '2.png', '3.png'}]


def test_what_is_wrong_is_one_sentence_before_anything_is_written(
    run, folder, pictures, checkpoint, tmp_path
):
    out = tmp_path / 'out'
    Image.new('RGB', (8, 8)).save(pictures / '0.jpg')
    for arguments, sentence in (
        (('nothing', pictures / '0.png'), 'there is no model nothing'),
        ((folder, tmp_path / 'nowhere'), 'there is no picture .*nowhere'),
        ((folder, pictures), 'would share the result 0: rename one'),
        ((folder, pictures / '0.png', '--steps', 3), 'EncoderDecoder has no steps to set'),
        ((folder, pictures / '0.png', '--precision', 'half'), 'precision must be one of'),
        ((CONFIG, pictures / '0.png'), 'is a config: give its weights by --checkpoint'),
        ((folder, pictures / '0.png', '--checkpoint', checkpoint), 'has weights of its own'),
    ):
        code, _, errors = run('predict', *arguments, '--out', out, '--device', 'cpu')
        assert code == 2 and errors.count('error: ') == 1
        assert re.search(sentence, errors)
        assert not out.exists()
    code, _, errors = run('predict', folder, pictures, '--out', pictures / 'out')
    assert code == 2 and 'among the pictures: choose another --out' in errors


def test_info_and_models(run, folder, checkpoint, monkeypatch):
    facts = json.loads(run('info', folder, '--json')[1])
    assert facts['type'] == 'EncoderDecoder' and len(facts['classes']) == 7
    assert (
        json.loads(run('info', CONFIG, '--checkpoint', checkpoint, '--json')[1])['parameters']
        == facts['parameters']
    )
    monkeypatch.setattr(loading, 'ZOO', folder.parent)
    assert 'shapes  Finds shapes. (' in run('models')[1]
    assert list(json.loads(run('models', '--json')[1])) == ['shapes']
    monkeypatch.setattr(loading, 'ZOO', folder)
    assert 'No model comes with this version' in run('models')[1]


def test_convert(run, folder, checkpoint, tmp_path):
    card = tmp_path / 'card.json'
    card.write_text('{"name": "shapes", "licence": "MIT"}')
    arguments = ('convert', CONFIG, checkpoint, tmp_path / 'model')
    code, said, _ = run(*arguments, '--half', '--card', card, '--json')
    assert code == 0 and json.loads(said)['folder'] == str(tmp_path / 'model')
    assert 'license: mit' in (tmp_path / 'model/README.md').read_text()
    assert run('info', tmp_path / 'model')[0] == 0
    assert 'is not empty' in run(*arguments)[2]
    card.write_text('[]')
    assert 'card.json must hold the fields' in run(*arguments, '--card', card)[2]


def test_help_and_unknown_commands(run):
    code, said, _ = run('--help')
    assert code == 0 and all(f'  {name}' in said for name in cli.COMMANDS)
    for name in cli.COMMANDS:
        assert run(name, '--help')[0] == 0
    assert run('fly')[0] == 2 and run()[0] == 2


def test_refining_takes_the_shipped_refiner():
    words = ['refine', '--images', 'a', '--masks', 'b', '--out', 'c']
    assert cli.parse_args(words).model == 'refiner'
    assert cli.parse_args([*words[:1], 'nuclei', *words[1:]]).model == 'nuclei'


def test_help_is_light():
    code = 'import sys; sys.argv = ["mmdiffseg", "predict", "--help"]\nfrom mmdiffseg import cli\n'
    code += 'try: cli.main()\nfinally: print("torch" in sys.modules, file=sys.stderr)'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0 and done.stderr.strip() == 'False'
