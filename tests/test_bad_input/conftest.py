import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bad_files  # noqa: E402
import forked  # noqa: E402


@pytest.fixture(scope='session')
def context():
    return forked.server()


@pytest.fixture(scope='session')
def made_box(tmp_path_factory, shapes_root):
    """The folder in which all calls run, and what its files were like before the first."""
    root = tmp_path_factory.mktemp('bad') / 'box'
    bad_files.make(root, shapes_root)
    return root, state(root)


@pytest.fixture
def box(made_box):
    """The folder, of which a test may change nothing: no file of it, and no code of it may run."""
    root, before = made_box
    yield root
    after = state(root)
    # a folder comes before what is in it
    for path in sorted(after.keys() - before.keys(), reverse=True):
        path.rmdir() if after[path] is FOLDER else path.unlink()
    marker = root.with_name(bad_files.MARKER)
    ran = marker.exists()
    marker.unlink(missing_ok=True)
    assert not ran, 'code out of a file has run'
    lost = [str(path) for path, was in before.items() if after.get(path) != was]
    assert not lost, f'lost or overwritten: {lost}'


FOLDER = 'folder'


def state(root):
    """What tells a change of every file; folders are only there."""
    return {
        path: FOLDER if path.is_dir() and not path.is_symlink() else _stamp(path)
        for path in root.rglob('*')
    }


def _stamp(path):
    return path.stat().st_size, path.stat().st_mtime_ns
