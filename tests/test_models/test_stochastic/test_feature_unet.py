import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.models.stochastic import FeatureMapUNet
from mmdiffseg.registry import MODELS

CHANNELS = (8, 12, 16)


def build(in_channels=2, **options):
    torch.manual_seed(0)
    network = FeatureMapUNet(
        in_channels=in_channels,
        out_channels=3,
        image_channels=3,
        feature_channels=CHANNELS,
        channel_mult=(1, 2, 3),
        **options,
    )
    for parameter in network.parameters():  # an untrained one says zero
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def inputs(batch=1, size=32):
    image = torch.randn(batch, 3, size, size)
    maps = [torch.randn(batch, c, size >> i + 1, size >> i + 1) for i, c in enumerate(CHANNELS)]
    return image, maps


def test_every_map_the_image_the_time_and_the_noise_matter():
    network, (image, maps) = build(), inputs()
    z_t, t = torch.randn(1, 2, 32, 32), torch.tensor([10])
    with torch.no_grad():
        said = network(z_t, t, network.prepare(image, *maps))
        assert said.shape == (1, 3, 32, 32)
        for i in range(3):
            others = [m + (j == i) for j, m in enumerate(maps)]
            assert not torch.allclose(said, network(z_t, t, network.prepare(image, *others)))
        assert not torch.allclose(said, network(z_t, t, network.prepare(image + 1, *maps)))
        assert not torch.allclose(said, network(z_t, t + 50, network.prepare(image, *maps)))
        assert not torch.allclose(said, network(z_t + 1, t, network.prepare(image, *maps)))


def test_generations_are_ordered_by_generation_then_image():
    network, (image, maps) = build(), inputs(batch=2)
    z_t = torch.randn(4, 2, 32, 32)
    t = torch.tensor([10])
    with torch.no_grad():
        together = network(z_t, t, network.prepare(image, *maps))
        for row in range(4):
            one = slice(row % 2, row % 2 + 1)
            context = network.prepare(image[one], *(m[one] for m in maps))
            torch.testing.assert_close(
                together[row : row + 1], network(z_t[row : row + 1], t, context)
            )


def test_every_pixel_of_the_map_is_read_and_made():
    network, (image, maps) = build(), inputs()
    context = network.prepare(image, *maps)
    z_t = torch.randn(1, 2, 32, 32, requires_grad=True)
    network(z_t, torch.tensor([10]), context).square().sum().backward()
    assert (z_t.grad != 0).all()


def test_without_a_noisy_map_it_is_a_plain_network():
    network, (image, maps) = build(in_channels=0), inputs()
    nothing = torch.zeros(1, 0, 32, 32)
    with torch.no_grad():
        said = network(nothing, torch.zeros(1), network.prepare(image, *maps))
    assert said.shape == (1, 3, 32, 32) and said.std() > 0


def test_refusals():
    with pytest.raises(ValueError, match='3 levels and feature_channels 2'):
        FeatureMapUNet(
            in_channels=2,
            out_channels=2,
            image_channels=3,
            feature_channels=(8, 12),
            channel_mult=(1, 2, 3),
        )
    image, maps = inputs()
    with pytest.raises(ValueError, match='reads 3 maps .* got 1'):
        build().prepare(image, maps[0])
    with pytest.raises(ValueError, match='multiples of 8'):
        build().prepare(torch.randn(1, 3, 30, 32), *maps)


def test_the_nuclei_model_trains_and_samples():
    init_default_scope('mmseg')
    config = Config.fromfile('configs/stochastic/categorical_dsb2018.py')
    config.model.backbone.backbone.pretrained = None
    model = MODELS.build(config.model)
    labels = torch.randint(2, (1, 64, 64))
    sample = SegDataSample(metainfo=dict(img_path='a.png', img_shape=(64, 64), ori_shape=(64, 64)))
    sample.gt_sem_seg = PixelData(data=labels)
    losses = model.loss(torch.randn(1, 3, 64, 64), [sample])
    assert losses['decode.loss_ce'].item() == pytest.approx(0.693, abs=0.01)  # says nothing yet
    (sample,) = model.eval().predict(torch.randn(1, 3, 64, 64), [sample])
    assert sample.samples.data.shape == (4, 64, 64)
