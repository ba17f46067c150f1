from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.utils import get_installed_path

import mmdiffseg
from mmdiffseg.compat import package_names


def test_mmseg_configs_can_be_inherited(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = ['mmseg::_base_/models/fcn_unet_s5-d16.py']")
    assert Config.fromfile(config).model.type == 'EncoderDecoder'


def test_mmengine_knows_this_package():
    path = get_installed_path(MODULE2PACKAGE['mmdiffseg'])
    assert Path(path).resolve() == Path(mmdiffseg.__file__).parent


@pytest.mark.parametrize('installed', ['mmsegmentation', 'onedl-mmsegmentation'])
def test_mmseg_is_named_as_it_is_installed(monkeypatch, installed):
    def distribution(name):
        if name != installed:
            raise PackageNotFoundError(name)

    table = {'mmseg': 'mmsegmentation', 'mmdet': 'mmdet'}
    monkeypatch.setattr(package_names, 'MODULE2PACKAGE', table)
    monkeypatch.setattr(package_names, 'distribution', distribution)
    package_names.register_package_names()
    assert table == {'mmseg': installed, 'mmdet': 'mmdet', 'mmdiffseg': 'mmdiffseg'}
