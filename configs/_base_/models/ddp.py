# Neck and heads of DDP; ddp_swin.py and ddp_convnext.py add a backbone, the experiments the classes
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
)
norm_cfg = dict(type='GN', num_groups=32)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    neck=[
        dict(
            type='FPN',
            in_channels=[96, 192, 384, 768],
            out_channels=256,
            num_outs=4,
            norm_cfg=norm_cfg,
            act_cfg=None,
        ),
        dict(
            type='mmdiffseg.MultiStageMerging',
            in_channels=[256, 256, 256, 256],
            out_channels=256,
            kernel_size=1,
            norm_cfg=norm_cfg,
        ),
    ],
    decode_head=dict(
        type='mmdiffseg.DDPHead',
        in_channels=256,
        channels=256,
        label_encoder=dict(type='mmdiffseg.ClassEmbeddingEncoder', scale=0.01),
        noise_schedule=dict(type='mmdiffseg.CosineLogSNR'),
        diffusion_sampler=dict(type='mmdiffseg.DDIMSampler', time_difference=1),
        denoiser=dict(
            type='mmdiffseg.DeformableMapDecoder',
            num_layers=6,
            num_heads=8,
            num_points=4,
            feedforward_ratio=4,
        ),
        steps=3,
        generations=1,
        accumulation=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=256,
        in_index=0,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
