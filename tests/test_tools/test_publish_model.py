import hashlib
import sys

import publish_model
import pytest
import torch


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'iter_9.pth'
    content = {
        'meta': {
            'dataset_meta': {'classes': ('a', 'b'), 'palette': [[0, 0, 0], [9, 9, 9]]},
            'cfg': "model = dict(type='EncoderDecoder')\nwork_dir = '/home/someone'\n",
            'iter': 9,
        },
        'state_dict': {'weight': torch.ones(3)},
        'optimizer': {'state': torch.zeros(99)},
        'message_hub': {},
    }
    torch.save(content, path)
    return path


def publish(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['publish_model.py', *map(str, args)])
    publish_model.main(publish_model.parse_args())


def test_only_weights_and_their_description_are_published(checkpoint, tmp_path, monkeypatch):
    publish(monkeypatch, checkpoint, tmp_path / 'model.pth')
    (path,) = tmp_path.glob('model-*.pth')
    assert path.stem == f'model-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}'
    published = torch.load(path, weights_only=True)
    assert set(published) == {'meta', 'state_dict'}
    assert published['meta']['dataset_meta']['classes'] == ('a', 'b')
    assert 'EncoderDecoder' in published['meta']['cfg']
    assert 'someone' not in published['meta']['cfg']
    assert published['state_dict']['weight'].eq(1).all()


def test_nothing_is_overwritten(checkpoint, tmp_path, monkeypatch):
    publish(monkeypatch, checkpoint, tmp_path / 'model.pth')
    with pytest.raises(FileExistsError, match='model-'):
        publish(monkeypatch, checkpoint, tmp_path / 'model.pth')


def test_a_checkpoint_of_unknown_origin_is_refused(tmp_path, monkeypatch):
    torch.save({'state_dict': {'weight': torch.ones(3)}}, tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='does not hold meta.dataset_meta and meta.cfg'):
        publish(monkeypatch, tmp_path / 'bare.pth', tmp_path / 'model.pth')


@pytest.mark.parametrize(
    'line', ['__import__("pathlib").Path("ran").touch()', 'a = print("ran")', '_base_ = dict(**x)']
)
def test_the_config_of_a_checkpoint_is_not_run(checkpoint, tmp_path, monkeypatch, capsys, line):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['cfg'] += line
    torch.save(content, checkpoint)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='line 3 of the config is more than a plain value'):
        publish(monkeypatch, checkpoint, tmp_path / 'model.pth')
    assert not (tmp_path / 'ran').exists()
    assert 'ran' not in capsys.readouterr().out
