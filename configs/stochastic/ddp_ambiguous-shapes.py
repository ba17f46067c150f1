# DDP as it ships (maps of stride 4, arg-max re-encoded, three steps) on features that others have
_base_ = '../_base_/stochastic_shapes.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdiffseg.TimmFeatures',
        model='tf_efficientnet_lite0',
        out_indices=(1, 2, 3),
        pretrained='tf_efficientnet_lite0.in1k',
    ),
    neck=[
        dict(
            type='FPN',
            in_channels=[24, 40, 112],
            out_channels=96,
            num_outs=3,
            norm_cfg=dict(type='GN', num_groups=8),
            act_cfg=None,
        ),
        dict(
            type='mmdiffseg.MultiStageMerging',
            in_channels=[96, 96, 96],
            out_channels=96,
            kernel_size=1,
            norm_cfg=dict(type='GN', num_groups=8),
        ),
    ],
    decode_head=dict(
        _delete_=True,
        type='mmdiffseg.DDPHead',
        in_channels=96,
        channels=96,
        num_classes=7,
        label_encoder=dict(type='mmdiffseg.ClassEmbeddingEncoder', scale=0.01),
        generations=16,
        denoiser=dict(
            type='mmdiffseg.DeformableMapDecoder', num_layers=6, num_heads=8, feedforward_ratio=4
        ),
    ),
)
