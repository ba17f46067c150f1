from pathlib import Path

import pytest

from mmdiffseg.models import extras
from mmdiffseg.models.extras import find_source, is_path, refuse
from mmdiffseg.registry import MODELS


def test_what_needs_mmdet_says_so():
    refuse('SomeHead')
    try:
        with pytest.raises(ImportError, match=r'SomeHead needs mmdet: .*run `pip install -e'):
            MODELS.build(dict(type='mmdiffseg.SomeHead', num_queries=100))
    finally:
        del MODELS._module_dict['SomeHead']


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_of_the_package_is_found_from_anywhere(elsewhere):
    world = find_source('demo/tiny_world')
    assert (Path(world) / 'model_index.json').is_file()
    assert find_source('demo/tiny_world/clip') == f'{world}/clip'
    assert find_source(world) == world


def test_a_folder_here_comes_before_that_of_the_package(elsewhere):
    (elsewhere / 'demo/tiny_world').mkdir(parents=True)
    assert find_source('demo/tiny_world') == 'demo/tiny_world'


def test_what_an_installation_brought_along_is_found(elsewhere, monkeypatch):
    folder = elsewhere / 'site-packages/mmdiffseg/.mim/demo/tiny_world'
    folder.mkdir(parents=True)
    (elsewhere / 'site-packages/mmdiffseg/.mim/model-index.yml').touch()
    (elsewhere / 'site-packages/openai').mkdir()
    monkeypatch.setattr(extras, 'PACKAGE', elsewhere / 'site-packages/mmdiffseg')
    assert find_source('demo/tiny_world') == str(folder)
    # a package beside ours is no reason to take a name on the hub for a path
    assert not is_path('openai/clip-vit-base-patch16')
    assert is_path('demo/other_world')


def test_names_on_the_hub_stay_names(elsewhere):
    name = 'stable-diffusion-v1-5/stable-diffusion-v1-5'
    assert find_source(name) == name and not is_path(name)
    assert is_path('./folder/name') and is_path('~/name') and is_path('a/b/c')


def test_the_hub_is_not_asked_for_what_looks_like_a_folder(elsewhere, monkeypatch):
    diffusers = pytest.importorskip('diffusers')
    from mmdiffseg.models.latent.stable_diffusion import load_vae

    assert load_vae('demo/tiny_world').config.latent_channels == 4
    monkeypatch.setattr(diffusers.AutoencoderKL, 'from_pretrained', None)  # a call would fail
    with pytest.raises(FileNotFoundError, match="no Stable Diffusion folder 'demo/none'"):
        load_vae('demo/none')
