import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

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


def test_uncertainty_lies_where_classes_change():
    model = build(steps=2)
    with torch.no_grad():
        first, last = model.predict_trajectory(IMAGES)
        found = model.predict(IMAGES)
    for a, b, sample in zip(first, last, found, strict=True):
        changed = (a.pred_sem_seg.data != b.pred_sem_seg.data).float()
        assert 0 < changed.mean() < 1
        # both are upsampled from the feature grid; away from borders they say the same
        agree = ((sample.uncertainty.data > 0.5) == (changed > 0.5)).float().mean()
        assert agree > 0.8


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
