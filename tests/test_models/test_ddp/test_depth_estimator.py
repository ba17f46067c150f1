import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.models.ddp import DepthTTAModel
from mmdiffseg.registry import MODELS


@MODELS.register_module(force=True)
class StridedBackbone(torch.nn.Conv2d):
    def __init__(self):
        super().__init__(3, 16, 4, stride=4)

    def forward(self, x):
        return (super().forward(x),)


def build(type='mmdiffseg.DiffusionDepthEstimator', test_cfg=None, **head):
    torch.manual_seed(0)
    decode_head = dict(
        type='mmdiffseg.DDPDepthHead',
        in_channels=16,
        channels=16,
        max_depth=10,
        denoiser=dict(type='mmdiffseg.DeformableMapDecoder', num_layers=1),
    )
    model = MODELS.build(
        dict(
            type=type,
            backbone=dict(type='mmdiffseg.StridedBackbone'),
            decode_head=decode_head | head,
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
        )
    )
    for parameter in model.decode_head.denoiser.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    model.decode_head.conv_depth.bias.data.fill_(4.0)
    return model.eval()


IMAGES = torch.randn(2, 3, 36, 44, generator=torch.Generator().manual_seed(2))


def samples():
    metas = [
        dict(ori_shape=(35, 41), padding_size=[0, 3, 0, 1], flip=False, img_path='a.png'),
        dict(ori_shape=(36, 44), flip=True, flip_direction='horizontal', img_path='b.png'),
    ]
    shapes = dict(img_shape=(36, 44), pad_shape=(36, 44))
    return [SegDataSample(metainfo=meta | shapes) for meta in metas]


@torch.no_grad()
def test_same_depths_as_the_plain_one_plus_uncertainty():
    expected = build('mmseg.DepthEstimator').predict(IMAGES, samples())
    model = build()
    found = model.predict(IMAGES, samples())
    for a, b, size in zip(expected, found, [(35, 41), (36, 44)], strict=True):
        torch.testing.assert_close(b.pred_depth_map.data, a.pred_depth_map.data)
        assert b.uncertainty.data.shape == b.pred_depth_map.data.shape == (1, *size)
        assert 0 <= b.uncertainty.data.min() and 0 < b.uncertainty.data.max() <= 1
    assert model.predict(IMAGES)[0].pred_depth_map.data.shape == (1, 36, 44)


@torch.no_grad()
def test_step_counts_and_trajectory():
    model = build(generations=2)
    found = model.predict_steps(IMAGES, samples(), steps=(1, 3))
    frames = model.predict_trajectory(IMAGES, samples())
    expected = model.predict(IMAGES, samples())
    assert len(frames) == 3
    for last in (found[3], frames[-1]):
        for a, b in zip(expected, last, strict=True):
            torch.testing.assert_close(b.pred_depth_map.data, a.pred_depth_map.data)
    depths = [found[steps][0].pred_depth_map.data for steps in (1, 3)]
    assert not torch.allclose(*depths)


@torch.no_grad()
def test_uncertainty_over_generations():
    model = build(test_cfg=dict(mode='whole', uncertainty='spread'), generations=3)
    for sample in model.predict(IMAGES, samples()):
        assert 0 < sample.uncertainty.data.max() <= 1
    model.test_cfg.uncertainty = 'entropy'
    with pytest.raises(ValueError, match=r"one of \('change', 'spread'\), got 'entropy'"):
        model.predict(IMAGES, samples())


def test_views_are_averaged():
    gt = PixelData(data=torch.ones(1, 2, 2))
    views = [
        SegDataSample(pred_depth_map=PixelData(data=torch.full((1, 2, 2), depth)), gt_depth_map=gt)
        for depth in (1.0, 4.0)
    ]
    (merged,) = DepthTTAModel(module=build()).merge_preds([views])
    assert (merged.pred_depth_map.data == 2.5).all()
    assert merged.gt_depth_map is gt
