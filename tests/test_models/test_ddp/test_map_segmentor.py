import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion import Draws
from mmdiffseg.registry import MODELS

SCOPES = dict(input_scope=[(0, 6, 1)] * 2, output_scope=[(1, 5, 0.5)] * 2)
HEADS = dict(
    ddp=dict(
        type='mmdiffseg.DDPMapHead', denoiser=dict(type='mmdiffseg.BEVMapDecoder', num_layers=1)
    ),
    fcn=dict(type='mmdiffseg.FCNMapHead'),
)


def build(name):
    torch.manual_seed(0)
    options = dict(in_channels=16, channels=16, num_classes=2, **SCOPES)
    return MODELS.build(
        dict(
            type='mmdiffseg.MapSegmentor',
            data_preprocessor=dict(type='BaseDataPreprocessor'),
            backbone=dict(type='mmdiffseg.IdentityBackbone'),
            decode_head=HEADS[name] | options,
            train_cfg={},
            test_cfg=dict(mode='whole'),
        )
    )


@pytest.fixture(params=HEADS)
def model(request):
    return build(request.param)


def samples():
    metas = [dict(img_path=f'{name}.npy', img_shape=(6, 6), ori_shape=(6, 6)) for name in 'ab']
    masks = PixelData(data=torch.ones(2, 8, 8, dtype=torch.uint8))
    return [SegDataSample(metainfo=meta, gt_map=masks.clone()) for meta in metas]


def test_precomputed_features_are_enough_to_train_and_test(model):
    features = torch.randn(2, 16, 6, 6)
    batch = model.data_preprocessor(dict(inputs=features, data_samples=samples()))
    model(**batch, mode='loss')['decode.loss_focal'].backward()
    assert model.decode_head.conv_seg.weight.grad.abs().sum() > 0

    model.eval()
    with torch.no_grad():
        predictions = model(**batch, mode='predict')
        nameless = model(features, mode='predict')
    for sample, given, other in zip(predictions, batch['data_samples'], nameless, strict=True):
        assert sample is given and 'gt_map' in sample
        # on the grid of the map, whatever the size of the input
        assert sample.map_prob.data.shape == other.map_prob.data.shape == (2, 8, 8)
        assert (sample.map_prob.data >= 0).all() and (sample.map_prob.data <= 1).all()


def test_draws_reach_the_head():
    model = build('ddp')
    features, draws = torch.randn(2, 16, 6, 6), Draws(dict(start=torch.randn(2, 16, 6, 6)))
    with torch.no_grad():
        maps = [
            [sample.map_prob.data for sample in model.eval().predict(features, draws=each)]
            for each in (draws, draws, None)
        ]
    assert all(map(torch.equal, maps[0], maps[1]))
    assert not any(map(torch.equal, maps[0], maps[2]))
