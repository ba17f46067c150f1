import importlib.util
from pathlib import Path

import pytest
import setuptools
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(monkeypatch, tmp_path):
    """Run the build step of setup.py over a small source tree."""
    monkeypatch.setattr(setuptools, 'setup', lambda **kwargs: None)
    spec = importlib.util.spec_from_file_location('mmdiffseg_setup', ROOT / 'setup.py')
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    monkeypatch.setattr(setup, 'ROOT', tmp_path / 'source')
    monkeypatch.setattr(build_py, 'run', lambda self: None)

    for name in ('mmdiffseg', 'tools', 'configs', 'demo'):
        (tmp_path / 'source' / name).mkdir(parents=True)
    (tmp_path / 'source' / 'tools' / 'train.py').write_text('train')
    (tmp_path / 'source' / 'model-index.yml').write_text('Import: []')
    (tmp_path / 'build' / 'mmdiffseg').mkdir(parents=True)

    def run(editable):
        command = setup.BuildWithMim(setuptools.Distribution())
        command.editable_mode = editable
        command.build_lib = str(tmp_path / 'build')
        command.run()
        return tmp_path / ('source' if editable else 'build') / 'mmdiffseg' / '.mim'

    return run


def names(mim):
    return sorted(path.name for path in mim.iterdir())


def test_an_editable_install_links(build):
    build(editable=True)
    mim = build(editable=True)  # a second time replaces the first
    assert names(mim) == ['configs', 'demo', 'model-index.yml', 'tools']
    assert all(path.is_symlink() for path in mim.iterdir())
    assert (mim / 'tools' / 'train.py').read_text() == 'train'


def test_an_editable_install_copies_where_links_are_refused(build, monkeypatch):
    def refuse(self, target):
        raise OSError('no right to make links')

    monkeypatch.setattr(Path, 'symlink_to', refuse)
    mim = build(editable=True)
    assert not any(path.is_symlink() for path in mim.iterdir())
    assert (mim / 'tools' / 'train.py').read_text() == 'train'


def test_a_wheel_holds_copies_and_the_source_stays_clean(build, tmp_path):
    mim = build(editable=False)
    assert names(mim) == ['configs', 'demo', 'model-index.yml', 'tools']
    assert (mim / 'model-index.yml').read_text() == 'Import: []'
    assert not (tmp_path / 'source' / 'mmdiffseg' / '.mim').exists()


def test_the_source_archive_takes_them_along():
    manifest = (ROOT / 'MANIFEST.in').read_text()
    for name in ('recursive-include tools', 'recursive-include configs', 'recursive-include demo'):
        assert name in manifest
    assert 'model-index.yml' in manifest
