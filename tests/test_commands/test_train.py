import json
import sys

import pytest

from mmdiffseg import cli
from mmdiffseg.apis import train_on_folder
from mmdiffseg.apis.folder import pairs


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command with a training that only tells; returns code, stdout and stderr."""
    given = {}

    def train(images, **options):
        print('training')
        given.update(images=images, **options)
        return dict(better=True)

    def command(*arguments):
        monkeypatch.setattr(train_on_folder, 'train', train)
        monkeypatch.setattr(pairs, 'pair_files', lambda images, masks: None)
        monkeypatch.setattr(sys, 'argv', ['mmdiffseg', 'train', *arguments])
        cli.main()
        return given, *capsys.readouterr()

    return command


def test_options_reach_the_training(run):
    given, out, _ = run(
        *('--images', 'a', '--masks', 'b', '--out', 'c', '--minutes', '3', '--foreground', '7')
    )
    assert given['images'] == 'a' and given['masks'] == 'b' and given['out'] == 'c'
    assert given['minutes'] == 3 and given['foreground'] == 7 and not given['resume']
    assert out == 'training\n'


def test_several_folders_are_raters_and_json_stands_alone(run):
    options = ('--masks', 'b', 'c', '--foreground', 'nonzero', '--json')
    given, out, error = run('--images', 'a', '--out', 'd', *options)
    assert given['masks'] == ['b', 'c'] and given['foreground'] == 'nonzero'
    assert json.loads(out) == dict(better=True) and error == 'training\n'
