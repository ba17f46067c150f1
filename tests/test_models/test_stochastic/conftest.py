import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.registry import MODELS

SMALL = dict(
    type='mmdiffseg.CCDMUNet', channel_mult=(1, 1), num_res_blocks=1, attention_downsample=(2,)
)


@pytest.fixture
def build_head():
    """Builds a small head of a type, with a network that does not say zero."""

    def build(kind, **options):
        torch.manual_seed(0)
        config = dict(in_channels=3, num_classes=4, denoiser=SMALL, generations=5)
        head = MODELS.build(ConfigDict(dict(config, type=f'mmdiffseg.{kind}') | options))
        for parameter in head.denoiser.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        return head.eval()

    return build


@pytest.fixture
def truth():
    """Makes samples of labels (B, H, W)."""

    def make(labels):
        return [
            SegDataSample(
                gt_sem_seg=PixelData(data=label[None]), metainfo=dict(img_path=f'{i}.png')
            )
            for i, label in enumerate(labels)
        ]

    return make
