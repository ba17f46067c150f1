# DDP made small enough for a CPU core: a narrow ResNet-18 and a narrow, shallow map decoder
_base_ = './ddp.py'
norm_cfg = dict(type='GN', num_groups=8)
neck = _base_.model.neck
neck[0].update(in_channels=[24, 48, 96, 192], out_channels=32, norm_cfg=norm_cfg)
neck[1].update(in_channels=[32, 32, 32, 32], out_channels=32, norm_cfg=norm_cfg)
model = dict(
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=24,
        base_channels=24,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
    ),
    neck=neck,
    decode_head=dict(
        in_channels=32,
        channels=32,
        denoiser=dict(num_layers=2, num_heads=2),
    ),
    auxiliary_head=None,
)
