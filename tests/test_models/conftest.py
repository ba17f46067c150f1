import pytest
from mmengine.config import ConfigDict

from mmdiffseg.registry import MODELS

WIDTH = 32
ATTENTION = dict(embed_dims=WIDTH, num_heads=4, batch_first=True)
PIXEL_DECODER = dict(
    type='mmdiffseg.MSDeformAttnPixelDecoder',
    num_outs=3,
    norm_cfg=dict(type='GN', num_groups=8),
    act_cfg=dict(type='ReLU'),
    encoder=dict(
        num_layers=1,
        layer_cfg=dict(
            self_attn_cfg=dict(ATTENTION, num_levels=3, num_points=2, dropout=0.0),
            ffn_cfg=dict(embed_dims=WIDTH, feedforward_channels=40, num_fcs=2, ffn_drop=0.0),
        ),
    ),
    positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
)
HEAD = dict(
    type='mmdiffseg.DFormerHead',
    in_channels=[8, 12, 16, 20],
    feat_channels=WIDTH,
    out_channels=WIDTH,
    num_things_classes=5,
    num_stuff_classes=2,
    num_queries=12,
    positional_encoding=dict(num_feats=WIDTH // 2, normalize=True),
    pixel_decoder=PIXEL_DECODER,
    transformer_decoder=dict(
        return_intermediate=True,
        num_layers=4,
        layer_cfg=dict(
            self_attn_cfg=ATTENTION,
            cross_attn_cfg=ATTENTION,
            ffn_cfg=dict(embed_dims=WIDTH, feedforward_channels=48, num_fcs=2, ffn_drop=0.0),
        ),
    ),
    train_cfg=dict(
        num_points=50,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='mmdet.HungarianAssigner',
            match_costs=[
                dict(type='mmdet.ClassificationCost', weight=2.0),
                dict(type='mmdet.CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type='mmdet.MaskPseudoSampler'),
    ),
)


@pytest.fixture
def build_dformer_head():
    """Builds a head 32 wide with 12 queries, 5 things and 2 stuff classes."""

    def build(**options):
        config = ConfigDict(HEAD)
        if 'num_classes' in options:
            del config['num_things_classes'], config['num_stuff_classes']
        return MODELS.build(ConfigDict(config, **options))

    return build


@pytest.fixture
def pixel_decoder_config():
    """Of a pixel decoder 32 wide, whose channels are to be filled in."""
    return ConfigDict(PIXEL_DECODER)
