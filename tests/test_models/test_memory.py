import pytest
import torch

from mmdiffseg.models import memory
from mmdiffseg.models.layers.unet_blocks import check_image
from mmdiffseg.models.memory import OVERRIDE, check_memory, free_memory
from mmdiffseg.registry import MODELS

CPU = torch.device('cpu')


@pytest.fixture
def small(monkeypatch):
    """A machine with 3 GiB left."""
    monkeypatch.delenv(OVERRIDE, raising=False)
    monkeypatch.setattr(memory, 'free_memory', lambda device: 3 * 2**30)


def test_what_does_not_fit_is_refused_with_an_estimate(small):
    check_memory(3 * 2**30, CPU, what='a map', fix='shrink it')
    sentence = r'^a map needs at least 3.5 GiB of memory, and 3.0 GiB are free on cpu: shrink it'
    with pytest.raises(ValueError, match=sentence):
        check_memory(7 * 2**29, CPU, what='a map', fix='shrink it')


def test_can_be_tried_all_the_same(small, monkeypatch):
    monkeypatch.setenv(OVERRIDE, '1')
    check_memory(2**50, CPU, what='a map', fix='shrink it')


def test_free_memory():
    assert free_memory(CPU) > 0
    assert free_memory(torch.device('meta')) is None


def test_a_chain_of_large_maps(small):
    head = MODELS.build(
        dict(
            type='mmdiffseg.DDPHead',
            in_channels=16,
            channels=256,
            num_classes=150,
            denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1),
        )
    )
    feature = torch.zeros(1, 16, 1, 1).expand(-1, -1, 1000, 750)  # takes no memory
    metas = [dict(img_path='a.jpg', img_shape=(4000, 3000))]
    sentence = 'maps of 256 x 1000 x 750 for images of 3000x4000 needs at least 8.1 GiB'
    with pytest.raises(ValueError, match=sentence):
        next(head.chains([feature], metas))


def test_a_large_image_for_a_u_net(small):
    unet = torch.nn.Module()
    unet.stride, unet.model_channels = 8, 128
    image = torch.zeros(1, 3, 1, 1).expand(-1, -1, 4000, 3000)
    with pytest.raises(ValueError, match='of 128 channels on 1 x 4000x3000 needs at least 8.6 GiB'):
        check_image(unet, image)
