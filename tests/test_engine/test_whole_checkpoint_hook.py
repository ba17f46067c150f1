import errno
import os
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from mmengine.fileio.backends import LocalBackend

from mmdiffseg.engine.hooks import WholeCheckpointHook
from mmdiffseg.engine.work_dir import newest_checkpoint

ONE = {
    'checkpoint': {
        'type': 'mmdiffseg.WholeCheckpointHook',
        'by_epoch': False,
        'interval': 2,
        'max_keep_ckpts': 1,
        'save_best': 'acc',
        'rule': 'greater',
    }
}


def names(folder):
    return sorted(path.name for path in Path(folder).glob('*.pth*'))


class Stopped(BaseException):
    """As a signal, which no code expects."""


def stopping(name, error):
    """A write that gets through half of a file of some name, as the first of `put`s to do so."""
    put = LocalBackend.put

    def half(self, content, path):
        if name in str(path):
            put(self, content[: len(content) // 2], path)
            raise error
        put(self, content, path)

    return patch.object(LocalBackend, 'put', half)


def test_a_stopped_save_leaves_the_one_before_it(make_runner, tmp_path):
    with stopping('iter_4.pth', Stopped()), pytest.raises(Stopped):
        make_runner(default_hooks=ONE).train()
    run = tmp_path / 'run'
    assert (run / 'last_checkpoint').read_text() == str(run / 'iter_2.pth')
    assert newest_checkpoint(run) == run / 'iter_2.pth'
    assert names(run) == ['iter_2.pth', 'iter_4.pth.part']

    make_runner(default_hooks=ONE, load_from=str(run / 'iter_2.pth'), resume=True).train()
    assert names(run) == ['iter_6.pth']


def test_a_full_disk_leaves_the_one_before_it_and_is_named(make_runner, tmp_path):
    full = OSError(errno.ENOSPC, 'No space left on device')
    with stopping('iter_4.pth', full), pytest.raises(OSError, match='iter_4') as caught:
        make_runner(default_hooks=ONE).train()
    assert caught.value.errno == errno.ENOSPC
    mounts = [path for path in (tmp_path, *tmp_path.parents) if os.path.ismount(path)]
    assert f'does not fit on the disk {mounts[0]}, which has ' in str(caught.value)
    assert names(tmp_path / 'run') == ['iter_2.pth']
    assert newest_checkpoint(tmp_path / 'run').name == 'iter_2.pth'


@pytest.mark.parametrize('stopped_at', ['best_acc_iter_7.pth', 'iter_7.pth'])
def test_the_old_best_goes_after_the_new_one_is_whole(make_runner, tmp_path, stopped_at):
    runner = make_runner(default_hooks=ONE)
    runner.train()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, WholeCheckpointHook))
    hook.after_val_epoch(runner, {'acc': 0.5})
    runner.train_loop._iter = 7
    run = tmp_path / 'run'
    before = read(run / 'iter_6.pth')
    assert names(run) == ['best_acc_iter_6.pth', 'iter_6.pth']

    with stopping(f'/{stopped_at}', Stopped()), pytest.raises(Stopped):
        hook.after_val_epoch(runner, {'acc': 0.7})
    assert {'best_acc_iter_6.pth', 'iter_6.pth', f'{stopped_at}.part'} <= set(names(run))
    assert read(run / 'iter_6.pth') == before
    assert before['best_ckpt'] == str(run / 'best_acc_iter_6.pth')

    hook.after_val_epoch(runner, {'acc': 0.9})
    assert [name for name in names(run) if 'part' not in name] == [
        'best_acc_iter_7.pth',
        'iter_7.pth',
    ]


def read(path):
    return torch.load(path, weights_only=False)['message_hub']['runtime_info']


def test_a_file_has_its_name_only_once_it_is_on_the_disk(make_runner, tmp_path):
    done = []
    real = {name: getattr(os, name) for name in ('fsync', 'replace')}

    def fsync(descriptor):
        done.append(('fsync', Path(os.readlink(f'/proc/self/fd/{descriptor}')).name))
        real['fsync'](descriptor)

    def replace(path, target):
        done.append(('replace', Path(target).name))
        return real_replace(path, target)

    real_replace = Path.replace
    with patch('os.fsync', fsync), patch.object(Path, 'replace', replace):
        make_runner(default_hooks=ONE, max_iters=2).train()
    assert done == [('fsync', 'iter_2.pth.part'), ('replace', 'iter_2.pth'), ('fsync', 'run')]
