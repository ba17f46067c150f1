# SegRefiner at its full width, for crops of 256 pixels: 118.6 M parameters
model = dict(
    type='mmdiffseg.MaskRefiner',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(256, 256),
    ),
    backbone=dict(type='mmdiffseg.IdentityBackbone'),
    decode_head=dict(
        type='mmdiffseg.MaskRefineHead',
        noise_schedule=dict(type='mmdiffseg.TwoStateDiffusion', num_timesteps=6, kept=0.8),
        diffusion_sampler=dict(type='mmdiffseg.TwoStateSampler', spacing='first'),
        denoiser=dict(
            type='mmdiffseg.SegDiffUNet',
            model_channels=128,
            channel_mult=(1, 1, 2, 2, 4, 4),
            num_res_blocks=2,
            attention_downsample=(16, 32),
            num_heads=4,
            fusion='input_concat',
            time_table=6,
            zero_init=False,
        ),
        texture_weight=5.0,
        max_batch=32,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='object'),
)
