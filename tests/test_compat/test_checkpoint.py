import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmdiffseg.compat.checkpoint import _history_method, load_checkpoint_file


class Code:
    """Pickles as a call."""

    def __reduce__(self):
        return print, ('unpickled',)


@pytest.fixture
def save(tmp_path):
    def save(content):
        torch.save(content, tmp_path / 'checkpoint.pth')
        return tmp_path / 'checkpoint.pth'

    return save


def test_state_dict_comes_wrapped_or_bare(save):
    weights = {'conv.weight': torch.arange(3.0)}
    for content in (weights, {'state_dict': weights, 'meta': {'classes': ('sky', 'road')}}):
        checkpoint = load_checkpoint_file(save(content))
        torch.testing.assert_close(checkpoint['state_dict'], weights)
    assert checkpoint['meta']['classes'] == ('sky', 'road')


def test_the_log_history_of_a_training_checkpoint_is_read(save):
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    log = {'loss': history, 'iou': np.float64(0.5), 'last': np.float32(2)}
    content = {'state_dict': {}, 'message_hub': {'log_scalars': log}}
    read = load_checkpoint_file(str(save(content)))['message_hub']['log_scalars']
    assert read['loss'].mean() == 2
    assert (read['iou'], read['last']) == (0.5, 2)


def test_code_runs_only_on_request(save, capsys):
    path = save({'state_dict': {}, 'optimizer': Code()})
    with pytest.raises(ValueError, match=r'checkpoint\.pth.*trust=True'):
        load_checkpoint_file(path)
    assert capsys.readouterr().out == ''
    load_checkpoint_file(path, trust=True)
    assert capsys.readouterr().out == 'unpickled\n'


@pytest.mark.parametrize(('owner', 'name'), [(torch, 'load'), (HistoryBuffer, '__init__')])
def test_the_log_history_is_no_way_to_other_attributes(owner, name):
    with pytest.raises(Exception, match='may not reach'):
        _history_method(owner, name)


@pytest.mark.parametrize('content', [{'model': {}}, [torch.zeros(1)]])
def test_no_state_dict_is_said_with_what_is_there(save, content):
    with pytest.raises(ValueError, match=r"holds no `state_dict`.*(\['model'\]|list)"):
        load_checkpoint_file(save(content))


def test_a_missing_or_damaged_file_is_said(save, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint .*nothing.pth'):
        load_checkpoint_file(tmp_path / 'nothing.pth')
    path = save({'state_dict': {'weight': torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match='damaged'):
        load_checkpoint_file(path)


def test_a_url_is_downloaded_once(save, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    url = save({'weight': torch.ones(2)}).as_uri() + '#download'
    assert load_checkpoint_file(url)['state_dict']['weight'].sum() == 2
    (tmp_path / 'checkpoint.pth').unlink()
    assert load_checkpoint_file(url)['state_dict']['weight'].sum() == 2


def test_a_dead_url_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    url = (tmp_path / 'nothing.pth').as_uri()
    with pytest.raises(FileNotFoundError, match='cannot be downloaded .* give the local path'):
        load_checkpoint_file(url)
