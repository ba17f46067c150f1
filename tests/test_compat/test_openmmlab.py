import pytest

from mmdiffseg.compat import openmmlab


def test_the_installed_line_passes():
    openmmlab.check_openmmlab()


def test_missing_packages_are_named_with_both_extras(monkeypatch):
    monkeypatch.setattr(openmmlab, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'mmengine, mmcv, mmseg.*\[onedl\].*\[openmmlab\]'):
        openmmlab.check_openmmlab()


def versions_of(monkeypatch, **installed):
    installed = {name.replace('_', '-'): number for name, number in installed.items()}
    monkeypatch.setattr(openmmlab, '_version', installed.get)


def test_too_old_is_said_with_both_versions(monkeypatch):
    versions_of(monkeypatch, mmengine='0.10.7', mmcv='1.7.2', mmsegmentation='1.2.2')
    with pytest.raises(ImportError, match=r'mmcv>=2\.0\.0 and 1\.7\.2 is installed'):
        openmmlab.check_openmmlab()


def test_two_lines_at_once_are_warned_of(monkeypatch):
    versions_of(monkeypatch, mmengine='0.10.7', onedl_mmengine='0.10.12')
    with pytest.warns(UserWarning, match='onedl-mmengine and mmengine are both installed'):
        openmmlab.check_openmmlab()


@pytest.mark.parametrize(
    'installed',
    [
        {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2'},
        {'mmengine': '9.0', 'mmcv': '9.0', 'mmsegmentation': '9.0'},  # no upper bounds
        {},  # source checkouts have no metadata
    ],
)
def test_upstream_passes(monkeypatch, installed):
    versions_of(monkeypatch, **installed)
    openmmlab.check_openmmlab()
    assert not openmmlab.is_onedl()
