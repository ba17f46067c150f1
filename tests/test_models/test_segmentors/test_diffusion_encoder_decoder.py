import copy
import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws
from mmdiffseg.registry import MODELS


@MODELS.register_module(force=True)
class CountingBackbone(torch.nn.Conv2d):
    """One strided convolution that counts its calls."""

    def __init__(self):
        super().__init__(3, 16, 4, stride=4)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return (super().forward(x),)


def build(type='mmdiffseg.DiffusionEncoderDecoder', test_cfg=None, **head):
    torch.manual_seed(0)
    decode_head = dict(
        type='mmdiffseg.DDPHead',
        in_channels=16,
        channels=16,
        num_classes=4,
        label_encoder=dict(type='mmdiffseg.ClassEmbeddingEncoder', channels=8, scale=0.5),
        noise_schedule=dict(type='mmdiffseg.CosineLogSNR'),
        diffusion_sampler=dict(type='mmdiffseg.DDIMSampler', time_difference=1),
        denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1),
        loss_decode=dict(type='mmseg.CrossEntropyLoss'),
    )
    model = MODELS.build(
        dict(
            type=type,
            backbone=dict(type='mmdiffseg.CountingBackbone'),
            decode_head=decode_head | head,
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
        )
    )
    for parameter in model.decode_head.denoiser.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


IMAGES = torch.randn(2, 3, 36, 44, generator=torch.Generator().manual_seed(2))


def samples():
    metas = [
        dict(ori_shape=(35, 41), padding_size=[0, 3, 0, 1], flip=False, img_path='a.png'),
        dict(
            ori_shape=(36, 44),
            padding_size=[0, 0, 0, 0],
            flip=True,
            flip_direction='horizontal',
            img_path='b.png',
        ),
    ]
    shapes = dict(img_shape=(36, 44), pad_shape=(36, 44))
    return [
        SegDataSample(
            metainfo=meta | shapes, gt_sem_seg=PixelData(data=torch.zeros(1, 36, 44).long())
        )
        for meta in metas
    ]


SLIDE = dict(mode='slide', crop_size=(24, 24), stride=(16, 16))


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE], ids=['whole', 'slide'])
def test_same_prediction_as_the_plain_one_plus_uncertainty(test_cfg):
    plain = build(type='mmseg.EncoderDecoder', test_cfg=test_cfg)
    ours = build(test_cfg=test_cfg)
    with torch.no_grad():
        expected, found = plain.predict(IMAGES, samples()), ours.predict(IMAGES, samples())
    for a, b, size in zip(expected, found, [(35, 41), (36, 44)], strict=True):
        torch.testing.assert_close(b.seg_logits.data, a.seg_logits.data)
        assert torch.equal(b.pred_sem_seg.data, a.pred_sem_seg.data)
        assert b.uncertainty.data.shape == (1, *size)
        assert 0 <= b.uncertainty.data.min() and 0 < b.uncertainty.data.max() <= 1
    assert ours.out_channels == 4


def test_the_uncertainty_of_change_lies_where_classes_change():
    model = build(test_cfg=dict(mode='whole', uncertainty='change'), steps=2)
    with torch.no_grad():
        first, last = model.predict_trajectory(IMAGES)
        found = model.predict(IMAGES)
    for a, b, sample in zip(first, last, found, strict=True):
        changed = (a.pred_sem_seg.data != b.pred_sem_seg.data).float()
        assert 0 < changed.mean() < 1
        # both are upsampled from the feature grid; away from borders they say the same
        agree = ((sample.uncertainty.data > 0.5) == (changed > 0.5)).float().mean()
        assert agree > 0.8


@pytest.mark.parametrize('accumulation', [False, 'prob'])
def test_the_uncertainty_by_default_is_the_entropy_of_the_prediction(accumulation):
    # a feature as large as the image leaves nothing to resize
    model = build(steps=3, accumulation=accumulation)
    model.backbone = torch.nn.Conv2d(3, 16, 1).eval()
    model.extract_feat = lambda images: (model.backbone(images),)
    with torch.no_grad():
        for sample in model.predict(IMAGES):
            probs = sample.seg_logits.data.double()
            if not accumulation:
                probs = probs.softmax(dim=0)
            expected = torch.special.entr(probs).sum(dim=0, keepdim=True) / math.log(4)
            torch.testing.assert_close(
                sample.uncertainty.data.double(), expected, atol=1e-5, rtol=0
            )
            assert 0.01 < expected.mean() < 0.99


def test_an_unknown_measure_is_refused():
    model = build(test_cfg=dict(mode='whole', uncertainty='doubt'))
    with torch.no_grad(), pytest.raises(ValueError, match="uncertainty must be one of .*'doubt'"):
        model.predict(IMAGES)


def starts(count=1):
    generator = torch.Generator().manual_seed(7)
    return dict(start=torch.randn(2 * count, 8, 9, 11, generator=generator))


def test_recorded_noise_replays_every_kind_of_prediction():
    model = build(generations=2)
    draws = Draws(starts(2))
    with torch.no_grad():
        sampled = model.predict(IMAGES, samples(), draws=draws)
        by_name = model.predict(IMAGES, samples())
        several = model.predict_steps(IMAGES, samples(), steps=(1, 3), draws=draws)
        film = model.predict_trajectory(IMAGES, samples(), draws=draws)
    for a, b, *others in zip(sampled, by_name, several[3], film[-1], strict=True):
        assert not torch.allclose(a.seg_logits.data, b.seg_logits.data)
        for other in others:
            torch.testing.assert_close(other.seg_logits.data, a.seg_logits.data)


def test_windows_replay_the_same_recorded_noise():
    model = build(test_cfg=SLIDE)
    start = torch.randn(2, 8, 6, 6)
    seen = []
    model.decode_head.denoiser.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        model.predict(IMAGES, samples(), draws=Draws(dict(start=start)))
    firsts = seen[::3]
    assert len(firsts) == 6  # two rows of three windows
    assert all(torch.equal(z_t, start) for z_t in firsts)


def test_a_memory_bound_splits_images_too():
    free, bound = build(generations=2), build(generations=2, max_batch=1)
    for draws in (None, Draws(starts(2))):
        with torch.no_grad():
            expected = free.predict(IMAGES, samples(), draws=draws)
            found = bound.predict(IMAGES, samples(), draws=draws)
        for a, b in zip(expected, found, strict=True):
            for name in ('seg_logits', 'uncertainty'):
                torch.testing.assert_close(b.get(name).data, a.get(name).data, rtol=1e-4, atol=1e-5)


def test_a_training_step_replays_by_draws():
    model = build()
    draws = Draws(dict(t=torch.tensor([0.3, 0.8]), eps=torch.randn(2, 8, 9, 11)))
    batch = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.randint(4, (1, 36, 44)))) for _ in range(2)
    ]
    first, again = (model.loss(IMAGES, batch, draws=draws) for _ in range(2))
    assert first.keys() == model.loss(IMAGES, batch).keys()
    assert first['decode.loss_ce'] == again['decode.loss_ce']
    assert first['decode.loss_ce'] != model.loss(IMAGES, batch)['decode.loss_ce']


@pytest.mark.parametrize('measure', ['entropy', 'mutual_information', 'variance'])
def test_uncertainty_over_generations(measure):
    model = build(test_cfg=dict(mode='whole', uncertainty=measure), generations=3)
    with torch.no_grad():
        for sample in model.predict(IMAGES, samples()):
            assert 0 <= sample.uncertainty.data.min() <= sample.uncertainty.data.max() <= 1
            assert sample.uncertainty.data.max() > 0


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE], ids=['whole', 'slide'])
def test_several_step_counts_from_one_encoding(test_cfg):
    model = build(test_cfg=test_cfg)
    with torch.no_grad():
        model.predict(IMAGES, samples())
        encodings, model.backbone.calls = model.backbone.calls, 0
        found = model.predict_steps(IMAGES, samples(), steps=(1, 3, 10))
        assert model.backbone.calls == encodings
        for steps, predictions in found.items():
            model.decode_head.steps = steps
            for a, b in zip(model.predict(IMAGES, samples()), predictions, strict=True):
                torch.testing.assert_close(b.seg_logits.data, a.seg_logits.data)


def test_the_trajectory_ends_in_the_prediction():
    model = build(generations=2, max_batch=2)
    with torch.no_grad():
        frames = model.predict_trajectory(IMAGES, samples())
        expected = model.predict(IMAGES, samples())
    assert len(frames) == 3
    for a, b in zip(expected, frames[-1], strict=True):
        torch.testing.assert_close(b.seg_logits.data, a.seg_logits.data)


def test_samples_handed_in_stay_as_they_are():
    model, given = build(), samples()
    before = copy.deepcopy(given)
    with torch.no_grad():
        model.predict_steps(IMAGES, given, steps=(1, 2))
        model.predict_trajectory(IMAGES, given)
    assert [s.keys() for s in given] == [s.keys() for s in before]
    assert [s.metainfo for s in given] == [s.metainfo for s in before]


def test_images_without_samples():
    model = build()
    with torch.no_grad():
        predictions = model.predict(IMAGES)
    assert [p.pred_sem_seg.data.shape for p in predictions] == [(1, 36, 44)] * 2
    assert [p.uncertainty.data.shape for p in predictions] == [(1, 36, 44)] * 2


def test_it_stays_an_ordinary_encoder_decoder():
    plain, ours = build(type='mmseg.EncoderDecoder'), build()
    metas = [sample.metainfo for sample in samples()]
    with torch.no_grad():
        expected = plain.encode_decode(IMAGES, metas)
        torch.testing.assert_close(ours.encode_decode(IMAGES, metas), expected)
        ours.predict(IMAGES, samples())
        torch.testing.assert_close(ours.inference(IMAGES, metas), expected)
