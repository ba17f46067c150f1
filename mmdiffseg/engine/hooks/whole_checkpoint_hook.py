"""Checkpoints of which one is always whole, whenever the training is stopped."""

import errno
import os
from pathlib import Path
from shutil import disk_usage
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdiffseg.registry import HOOKS

UNFINISHED = '.part'


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's hook, which loses no checkpoint if it is stopped while it saves one.

    A file appears under its name only once it is whole and on the disk, and the files that it
    replaces are removed after that; mmengine removes them first and writes over existing ones.
    Takes mmengine's arguments.

    Example:
        >>> default_hooks = dict(
        ...     checkpoint=dict(
        ...         type='mmdiffseg.WholeCheckpointHook', by_epoch=False, max_keep_ckpts=1))
    """

    def before_train(self, runner: Runner) -> None:
        """Find out where to save, and remove what a stopped run has left unfinished there."""
        super().before_train(runner)
        self.file_backend = _RemovesLater(self.file_backend)
        if is_main_process() and '://' not in self.out_dir:
            for unfinished in Path(self.out_dir).glob(f'*{UNFINISHED}'):
                unfinished.unlink()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if not isinstance(runner, _SavesWhole):  # mmengine calls this after a new best, too
            runner = _SavesWhole(runner, self.file_backend)
        super()._save_checkpoint_with_step(runner, step, meta)
        self.file_backend.remove_now()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(_SavesWhole(runner, self.file_backend), metrics)
        self.file_backend.remove_now()


class _RemovesLater:
    """A file backend that only notes what is to be removed until it is told to."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._noted = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._noted.append(path)

    def keep(self, path: str) -> None:
        """Do not remove what has been saved anew under the same name."""
        self._noted = [noted for noted in self._noted if noted != path]

    def remove_now(self) -> None:
        while self._noted:
            self._backend.remove(self._noted.pop(0))


class _SavesWhole:
    """A runner whose checkpoints get their names once they are whole and on the disk."""

    def __init__(self, runner: Runner, files: _RemovesLater) -> None:
        self._runner = runner
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        if '://' in out_dir:  # such stores replace a file at once, or not at all
            self._runner.save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        self._files.keep(self._files.join_path(out_dir, filename))
        unfinished = Path(out_dir, filename + UNFINISHED)
        try:
            self._runner.save_checkpoint(out_dir, unfinished.name, *args, **kwargs)
            if is_main_process():
                _flush(unfinished)
                unfinished.replace(Path(out_dir, filename))
                _flush(unfinished.parent)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            unfinished.unlink(missing_ok=True)
            raise OSError(
                error.errno,
                f'{filename} does not fit on the disk {_mount_point(out_dir)}, which has '
                f'{disk_usage(out_dir).free / 2**20:.0f} MiB left; the checkpoints in {out_dir} '
                'are as they were: make room, and go on with --resume',
            ) from error


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mount_point(folder: str) -> Path:
    path = Path(folder).resolve()
    return next(parent for parent in (path, *path.parents) if parent.is_mount())
