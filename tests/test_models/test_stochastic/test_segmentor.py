import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample

from mmdiffseg.registry import MODELS

IMAGES = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(2))
HEADS = ['CategoricalMapHead', 'EncodedMapHead', 'PixelwiseHead', 'SSNHead', 'MCDropoutHead']


@pytest.fixture
def build(build_head):
    def build(kind='PixelwiseHead', test_cfg=dict(mode='whole'), **options):
        diffuses = dict(steps=3) if 'Map' in kind else {}
        head = build_head(kind, **diffuses, **options)
        model = MODELS.build(
            dict(
                type='mmdiffseg.StochasticSegmentor',
                backbone=dict(type='mmdiffseg.IdentityBackbone'),
                decode_head=dict(type='mmdiffseg.PixelwiseHead', in_channels=3, num_classes=4),
                test_cfg=ConfigDict(test_cfg),
            )
        )
        model.decode_head = head
        model.out_channels = head.out_channels
        return model.eval()

    return build


def samples():
    metas = [
        dict(ori_shape=(31, 40), padding_size=[0, 4, 0, 0], flip=False, img_path='a.png'),
        dict(
            ori_shape=(16, 24),
            padding_size=[0, 0, 0, 0],
            flip=True,
            flip_direction='horizontal',
            img_path='b.png',
        ),
    ]
    return [SegDataSample(metainfo=meta | dict(img_shape=(16, 24))) for meta in metas]


@pytest.mark.parametrize('kind', HEADS)
@torch.no_grad()
def test_every_sample_comes_at_the_original_size(build, kind):
    model = build(kind)
    first, second = model.predict(IMAGES, samples())
    assert first.samples.data.shape == (5, 31, 40)
    assert second.samples.data.shape == (5, 16, 24)
    assert second.seg_logits.data.shape == (4, 16, 24)
    torch.testing.assert_close(second.seg_logits.data.sum(dim=0), torch.ones(16, 24))
    assert torch.equal(second.pred_sem_seg.data[0], second.seg_logits.data.argmax(dim=0))
    assert second.uncertainty.data.shape == (1, 16, 24)
    assert 0 <= second.uncertainty.data.min() and second.uncertainty.data.max() <= 1
    assert len({tuple(map_.flatten().tolist()) for map_ in second.samples.data}) == 5
    # without samples the images are taken as they are, under names that all of them share
    assert model.predict(IMAGES)[1].samples.data.shape == (5, 16, 24)


@torch.no_grad()
def test_probabilities_are_the_frequencies_of_hard_samples(build):
    sample = build('EncodedMapHead').predict(IMAGES, samples())[1]
    found = torch.stack([(sample.samples.data == k).float().mean(dim=0) for k in range(4)])
    torch.testing.assert_close(sample.seg_logits.data, found)


@torch.no_grad()
def test_draws_can_be_given(build):
    model = build()
    noise = -torch.empty(10, 4, 16, 24).exponential_().log()
    from mmdiffseg.diffusion import Draws

    given = model.predict(IMAGES, samples(), draws=Draws(dict(pixels=noise)))
    again = model.predict(IMAGES, samples(), draws=Draws(dict(pixels=noise)))
    other = model.predict(IMAGES, samples(), draws=Draws(dict(pixels=-noise)))
    assert torch.equal(given[1].samples.data, again[1].samples.data)
    assert not torch.equal(given[1].samples.data, other[1].samples.data)


@pytest.mark.parametrize('kind', ['CategoricalMapHead', 'EncodedMapHead'])
@torch.no_grad()
def test_a_film_shows_the_first_sample(build, kind):
    model = build(kind)
    frames = model.predict_trajectory(IMAGES, samples(), steps=3)
    assert len(frames) == 3
    first = model.predict(IMAGES, samples())[1].samples.data[:1]
    assert torch.equal(frames[-1][1].pred_sem_seg.data, first)


@torch.no_grad()
def test_an_unknown_uncertainty_is_refused(build):
    model = build(test_cfg=dict(mode='whole', uncertainty='change'))
    with pytest.raises(ValueError, match="measure must be one of .* got 'change'"):
        model.predict(IMAGES, samples())


def test_training(build, truth):
    model = build('CategoricalMapHead').train()
    losses = model.loss(IMAGES, truth(torch.randint(4, (2, 16, 24))))
    assert list(losses) == ['decode.loss_kl']


@torch.no_grad()
def test_ddp_gives_each_of_its_generations():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='mmdiffseg.StochasticSegmentor',
            backbone=dict(type='mmdiffseg.IdentityBackbone'),
            decode_head=dict(
                type='mmdiffseg.DDPHead',
                in_channels=3,
                channels=16,
                num_classes=4,
                generations=5,
                # loud maps and a lively decoder, so that generations differ
                label_encoder=dict(type='mmdiffseg.OneHotEncoder', scale=1.0),
                denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1, num_heads=2),
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    ).eval()
    sample = model.predict(IMAGES, samples())[1]
    assert len({tuple(map_.flatten().tolist()) for map_ in sample.samples.data}) == 5
    model.decode_head.generations = 1
    first = model.predict(IMAGES, samples())[1]
    assert torch.equal(first.samples.data, sample.samples.data[:1])
    assert torch.equal(first.pred_sem_seg.data, first.samples.data)
