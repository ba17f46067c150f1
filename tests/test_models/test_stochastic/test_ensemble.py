import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample

from mmdiffseg.registry import MODELS

MEMBER = dict(
    type='mmdiffseg.StochasticSegmentor',
    backbone=dict(type='mmdiffseg.IdentityBackbone'),
    decode_head=dict(
        type='mmdiffseg.MCDropoutHead',
        in_channels=3,
        num_classes=4,
        denoiser=dict(type='mmdiffseg.CCDMUNet', channel_mult=(1,), attention_downsample=()),
        generations=2,
    ),
    test_cfg=ConfigDict(mode='whole'),
)
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def samples():
    meta = dict(ori_shape=(8, 8), img_shape=(8, 8))
    return [SegDataSample(metainfo=dict(meta, img_path=f'{name}.png')) for name in 'ab']


@pytest.fixture
def checkpoints(tmp_path):
    paths = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = MODELS.build(MEMBER)
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        paths.append(str(tmp_path / f'{seed}.pth'))
        torch.save(dict(state_dict=model.state_dict()), paths[-1])
    return paths


def build(checkpoints, member=MEMBER):
    config = dict(type='mmdiffseg.CheckpointEnsemble', member=member, checkpoints=checkpoints)
    return MODELS.build(config).eval()


@torch.no_grad()
def test_every_member_gives_a_sample(checkpoints):
    found = build(checkpoints).predict(IMAGES, samples())
    alone = [build([path]).predict(IMAGES, samples()) for path in checkpoints]
    for i in range(2):
        assert found[i].samples.data.shape == (3, 8, 8)
        expected = torch.cat([one[i].pred_sem_seg.data for one in alone])
        assert torch.equal(found[i].samples.data, expected)
        mean = torch.stack([one[i].seg_logits.data for one in alone]).mean(dim=0)
        torch.testing.assert_close(found[i].seg_logits.data, mean)
        assert torch.equal(found[i].pred_sem_seg.data[0], mean.argmax(dim=0))
        assert 0 <= found[i].uncertainty.data.min() and found[i].uncertainty.data.max() <= 1


def test_what_does_not_fit_is_refused(checkpoints):
    with pytest.raises(ValueError, match='an ensemble needs checkpoints'):
        build([])
    head = dict(MEMBER['decode_head'], num_classes=5)
    with pytest.raises(ValueError, match='0.pth does not fit StochasticSegmentor'):
        build(checkpoints, dict(MEMBER, decode_head=head))
    with pytest.raises(NotImplementedError, match='one by one'):
        build(checkpoints).loss(IMAGES, samples())


@torch.no_grad()
def test_logits_are_refused(checkpoints):
    ensemble = build(checkpoints)
    predict = ensemble.members[0].predict

    def logits(*args):
        predicted = predict(*args)
        predicted[0].seg_logits.data -= 3
        return predicted

    ensemble.members[0].predict = logits
    with pytest.raises(ValueError, match='run from -.* so they are no probabilities'):
        ensemble.predict(IMAGES, samples())
