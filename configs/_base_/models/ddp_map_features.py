# DDP's map head on BEV features of BEVFusion: cells of 0.8 m up to 51.2 m around the car become a
# map of 0.5 m up to 50 m
_base_ = './ddp_map_head.py'
model = dict(
    type='mmdiffseg.MapSegmentor',
    data_preprocessor=dict(type='BaseDataPreprocessor'),
    backbone=dict(type='mmdiffseg.IdentityBackbone'),
    decode_head=dict(
        **_base_.map_head,
        input_scope=[(-51.2, 51.2, 0.8), (-51.2, 51.2, 0.8)],
        output_scope=[(-50, 50, 0.5), (-50, 50, 0.5)],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
