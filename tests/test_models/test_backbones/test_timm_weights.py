import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from mmdiffseg.models.backbones.timm_weights import load_timm_weights


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_local_file(tmp_path, suffix):
    weights, path = {'stem.0.bias': torch.arange(3.0)}, tmp_path / f'model{suffix}'
    save_file(weights, path) if suffix == '.safetensors' else torch.save(weights, path)
    assert torch.equal(load_timm_weights(str(path))['stem.0.bias'], weights['stem.0.bias'])


def test_hub_name_fetches_the_published_file(tmp_path, monkeypatch):
    save_file({'stem.0.bias': torch.arange(3.0)}, tmp_path / 'model.safetensors')

    def download(repository, filename):
        assert (repository, filename) == ('timm/convnext_tiny.fb_in1k', 'model.safetensors')
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, 'hf_hub_download', download)
    assert list(load_timm_weights('convnext_tiny.fb_in1k')) == ['stem.0.bias']


def test_without_network_and_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match='convnext_tiny.fb_in1k.*not cached.*download https'
    ):
        load_timm_weights('convnext_tiny.fb_in1k')


def test_missing_file():
    with pytest.raises(FileNotFoundError, match="no pretrained weights at 'nowhere/model.pth'"):
        load_timm_weights('nowhere/model.pth')


@pytest.mark.parametrize('source', ['swin_tiny', 'convnext_tiny.no_such_tag'])
def test_unknown_name(source):
    with pytest.raises(ValueError, match=f'{source!r} is neither a file nor weights'):
        load_timm_weights(source)
