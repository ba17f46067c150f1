# SegDiff at its full width, for 128-pixel images; the experiments set the number of RRDB blocks
model = dict(
    type='mmdiffseg.SegDiff',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        # any size at test time: padded to the stride of the network, cut off again afterwards
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(type='mmdiffseg.RRDBNet', out_channels=128, num_blocks=15),
    decode_head=dict(
        type='mmdiffseg.SegDiffHead',
        in_channels=128,
        num_classes=2,
        noise_schedule=dict(type='mmdiffseg.LinearBetas', num_timesteps=100),
        diffusion_sampler=dict(
            type='mmdiffseg.DDPMSampler', spacing='uniform', variance='fixed_large'
        ),
        denoiser=dict(
            type='mmdiffseg.SegDiffUNet',
            model_channels=128,
            channel_mult=(1, 1, 2, 2, 4, 4),
            attention_downsample=(8, 16),
        ),
        generations=9,
        clip_denoised=False,
        loss_reduction='sum',
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole', threshold=0.5),
)
