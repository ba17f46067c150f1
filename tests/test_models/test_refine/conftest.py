import pytest
import torch

from mmdiffseg.registry import MODELS

HEAD = dict(
    type='mmdiffseg.MaskRefineHead',
    max_batch=4,
    denoiser=dict(
        type='mmdiffseg.SegDiffUNet',
        model_channels=32,
        channel_mult=(1,),
        num_res_blocks=1,
        attention_downsample=(),
        fusion='input_concat',
        time_table=6,
        zero_init=False,
    ),
)


@pytest.fixture
def build_refiner():
    """A refiner with random weights whose logits are spread around zero."""

    def build(test_cfg=None, **head):
        torch.manual_seed(0)
        model = MODELS.build(
            dict(
                type='mmdiffseg.MaskRefiner',
                data_preprocessor=dict(
                    type='mmseg.SegDataPreProcessor',
                    mean=[120.0, 110, 100],
                    std=[60.0, 60, 60],
                    bgr_to_rgb=True,
                ),
                backbone=dict(type='mmdiffseg.IdentityBackbone'),
                decode_head={**HEAD, **head},
                test_cfg=dict(size=16, margin=2, min_area=4, **(test_cfg or {})),
            )
        )
        model.decode_head.denoiser.out[2].weight.data *= 6
        return model.eval()

    return build
