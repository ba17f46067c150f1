"""A method of somebody else's, with nothing but the contract: bits of labels, a plain U-shape."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import nn

from mmdiffseg.diffusion import Draws
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.registry import MODELS


@MODELS.register_module(force=True)
class ToyHead(DiffusionHead, BaseDecodeHead):
    """Convolutions over noisy bits, a time and the feature."""

    def __init__(self, *, in_channels, num_classes, steps=4, generations=2):
        super().__init__(
            in_channels=in_channels,
            channels=32,
            num_classes=num_classes,
            loss_decode=dict(type='mmseg.CrossEntropyLoss'),
        )
        self.build_diffusion(
            label_encoder=dict(type='AnalogBitsEncoder', num_classes=num_classes, scale=1.0),
            noise_schedule=dict(type='CosineBetas', num_timesteps=100),
            diffusion_sampler=dict(type='DDIMSampler', eta=1.0),
            steps=steps,
            generations=generations,
            max_batch=None,
            seed=0,
        )
        bits = self.label_encoder.channels
        self.denoiser = nn.Sequential(
            nn.Conv2d(in_channels + bits + 1, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.SiLU(),
        )

    def prepare(self, feature, metas):
        return feature

    def map_shape(self, feature, metas):
        return (self.label_encoder.channels, *feature.shape[2:])

    def denoise(self, z_t, t, context):
        context = context.repeat(len(z_t) // len(context), 1, 1, 1)  # (G B, C, h, w)
        time = (t / 100).view(-1, 1, 1, 1).expand(len(z_t), 1, *z_t.shape[2:])
        return self.cls_seg(self.denoiser(torch.cat([z_t, context, time], dim=1))).float()

    def encode_output(self, output, size):
        return self.label_encoder.encode_output(output)

    def probabilities(self, output):
        return output.softmax(dim=1)

    def loss(self, inputs, batch_data_samples, train_cfg, *, draws=None):
        feature = self._transform_inputs(inputs)
        labels = self._stack_batch_gt(batch_data_samples)[:, 0]
        z_t, t, _ = self.corrupt(self.label_encoder.encode(labels), draws or Draws())
        return self.loss_by_feat(self.denoise(z_t, t, feature), batch_data_samples)


@MODELS.register_module(force=True)
class ToyBackbone(nn.Conv2d):
    """One convolution at full resolution."""

    def __init__(self):
        super().__init__(3, 8, 3, padding=1)

    def forward(self, x):
        return (super().forward(x),)


@pytest.fixture(scope='module')
def trained():
    """A model that has learned to tell bright from dark, and its data."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='mmdiffseg.DiffusionEncoderDecoder',
            backbone=dict(type='mmdiffseg.ToyBackbone'),
            decode_head=dict(type='mmdiffseg.ToyHead', in_channels=8, num_classes=2),
            test_cfg=ConfigDict(mode='whole'),
        )
    )
    images = torch.randn(4, 3, 16, 16).repeat_interleave(2, dim=2)[:, :, :16]
    labels = (images.mean(dim=1, keepdim=True) > 0).long()
    samples = [
        SegDataSample(
            metainfo=dict(img_path=f'{i}.png', ori_shape=(16, 16), img_shape=(16, 16)),
            gt_sem_seg=PixelData(data=label),
        )
        for i, label in enumerate(labels)
    ]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(images, samples)['decode.loss_ce'].backward()
        optimizer.step()
    return model.eval(), images, samples, labels


def test_it_trains_and_samples(trained):
    model, images, samples, labels = trained
    with torch.no_grad():
        predicted = model.predict(images, samples)
    found = torch.stack([sample.pred_sem_seg.data for sample in predicted])
    assert (found == labels).float().mean() > 0.95


def test_it_reports_uncertainty_and_films(trained):
    model, images, samples, labels = trained
    with torch.no_grad():
        (sample, *_) = model.predict(images, samples)
        film = model.predict_trajectory(images, samples, steps=3)
        by_steps = model.predict_steps(images, samples, steps=(1, 4))
    wrong = sample.pred_sem_seg.data != labels[0]
    uncertainty = sample.uncertainty.data
    assert 0 <= uncertainty.min() and uncertainty.max() <= 1
    assert not wrong.any() or uncertainty[wrong].mean() > uncertainty[~wrong].mean()
    assert len(film) == 3 and film[0][0].pred_sem_seg.data.shape == (1, 16, 16)
    assert set(by_steps) == {1, 4}
