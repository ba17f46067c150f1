import hashlib
import os
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import initialize
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdiffseg.compat.checkpoint import _history_method, guard_mmengine, load_checkpoint_file

load_by_mmengine = CheckpointLoader.load_checkpoint


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
    with pytest.raises(ValueError, match=r"none under `state_dict`: it holds (\['model'\]|list)"):
        load_checkpoint_file(save(content))


def test_a_missing_or_damaged_file_is_said(save, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint .*nothing.pth'):
        load_checkpoint_file(tmp_path / 'nothing.pth')
    path = save({'state_dict': {'weight': torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match='damaged'):
        load_checkpoint_file(path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder of its own for downloads."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    return tmp_path / 'hub'


def test_a_url_is_downloaded_once(save, hub):
    path = save({'weight': torch.ones(2)})
    for _ in range(2):
        assert load_checkpoint_file(path.as_uri() + '#get')['state_dict']['weight'].sum() == 2
        path.unlink(missing_ok=True)


def test_two_addresses_never_share_a_download(tmp_path, hub):
    for number, folder in enumerate('ab'):
        (tmp_path / folder).mkdir()
        torch.save({'weight': torch.tensor(number)}, tmp_path / folder / 'model.pth')
    for number, folder in enumerate('ab'):
        url = (tmp_path / folder / 'model.pth').as_uri()
        assert load_checkpoint_file(url)['state_dict']['weight'] == number


@pytest.mark.parametrize('right', [True, False])
def test_the_hash_in_the_name_is_verified(save, hub, right):
    path = save({'weight': torch.ones(2)})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:10] if right else '0123456789ab'
    path = path.rename(path.with_name(f'model-{digest}.pth'))
    if right:
        load_checkpoint_file(path.as_uri())
        return
    with pytest.raises(ValueError, match=r'model-0123456789ab\.pth.*not the file of that name'):
        load_checkpoint_file(path.as_uri())
    assert not list(hub.rglob('*.pth'))


def test_a_date_in_the_name_is_no_hash(save, hub):
    path = save({'weight': torch.ones(2)}).rename(hub.parent / 'model-20230101.pth')
    load_checkpoint_file(path.as_uri())


def test_a_dead_url_is_said(tmp_path, hub):
    url = (tmp_path / 'nothing.pth').as_uri()
    with pytest.raises(FileNotFoundError, match='cannot be downloaded .* give the local path'):
        load_checkpoint_file(url)


def test_an_address_cannot_leave_the_folder_of_downloads(hub):
    with pytest.raises(ValueError, match='leave . and .. out'):
        load_checkpoint_file('https://example.com/a/../../model.pth')


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_are_refused_by_name(save, value):
    path = save({'good': torch.zeros(2), 'bad.weight': torch.tensor([0, value])})
    for load in (load_checkpoint_file, load_by_mmengine):
        with pytest.raises(ValueError, match=r'checkpoint\.pth.*not finite.*bad\.weight'):
            load(path if load is load_checkpoint_file else str(path))


# What mmengine loads: testing, resuming, load_from, init_cfg, model.pretrained, inferencers


@pytest.fixture
def trusting():
    """mmengine as with `--trust`, for one test."""
    guard_mmengine(trust=True)
    yield
    guard_mmengine()


def test_mmengine_runs_no_code(save, capsys):
    path = str(save({'state_dict': {}, 'optimizer': Code()}))
    with pytest.raises(ValueError, match=r'checkpoint\.pth.*`--trust`'):
        load_by_mmengine(path)
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r'checkpoint\.pth.*`--trust`'):
        initialize(model, dict(type='Pretrained', checkpoint=path))
    assert 'unpickled' not in capsys.readouterr().out


def test_mmengine_runs_code_if_it_is_trusted(save, trusting, capsys):
    load_by_mmengine(str(save({'state_dict': {}, 'optimizer': Code()})))
    assert 'unpickled' in capsys.readouterr().out


@pytest.mark.parametrize('scheme', sorted(CheckpointLoader._schemes))
def test_no_scheme_of_mmengine_runs_code(save, scheme, monkeypatch, capsys):
    path = save({'state_dict': {}, 'optimizer': Code()})

    def load(*args):
        with pytest.raises(UnpicklingError):  # as onedl's reader, which tries again
            torch.load(path, weights_only=True)
        return torch.load(path, weights_only=False)

    monkeypatch.setitem(CheckpointLoader._schemes, scheme, load)
    if scheme not in ('', 'http://', 'https://'):
        guard_mmengine()
        with pytest.raises(ValueError, match='allow that'):
            CheckpointLoader._schemes[scheme]('somewhere')
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ
    assert capsys.readouterr().out == ''


def test_configs_that_could_run_code_are_taken_out_with_a_warning(save, caplog):
    bad, good = 'import os', "model = dict(type='EncoderDecoder')"
    meta, hub = dict(cfg=bad, config=bad, epoch=1), dict(runtime_info=dict(cfg=good))
    read = load_by_mmengine(str(save(dict(state_dict={}, meta=meta, message_hub=hub))))
    assert read['meta'] == dict(epoch=1)
    assert read['message_hub']['runtime_info'] == dict(cfg=good)
