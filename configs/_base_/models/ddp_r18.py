# DDP made small enough for two CPU cores: a half-wide ResNet-18 and a narrow, shallow map decoder
_base_ = './ddp.py'
batch_norm = dict(type='BN', requires_grad=True)
neck = _base_.model.neck
neck[0].update(in_channels=[32, 64, 128, 256], out_channels=64)
neck[1].update(in_channels=[64, 64, 64, 64], out_channels=64)
model = dict(
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=batch_norm,
        norm_eval=False,
        style='pytorch',
    ),
    neck=neck,
    decode_head=dict(
        in_channels=64,
        channels=64,
        label_encoder=dict(channels=64),
        denoiser=dict(num_layers=3, num_heads=4),
    ),
    auxiliary_head=dict(in_channels=64, channels=64, norm_cfg=batch_norm),
)
