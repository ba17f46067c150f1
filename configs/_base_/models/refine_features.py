# A refiner that reads each crop once, by EfficientNet-Lite0 up to stride 16, and then in each step
# the mask by a light U-Net over 2 x 2 patches: 2.4 M parameters. Two times only: the coarse mask,
# then one half of whose pixels may show what the network says of it
model = dict(
    type='mmdiffseg.MaskRefiner',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(96, 96),
    ),
    backbone=dict(
        type='mmdiffseg.ImageAndFeatures',
        backbone=dict(
            type='mmdiffseg.TimmFeatures',
            model='tf_efficientnet_lite0',
            out_indices=(0, 1, 2, 3),
        ),
    ),
    decode_head=dict(
        type='mmdiffseg.MaskRefineHead',
        in_channels=(3, 16, 24, 40, 112),
        noise_schedule=dict(type='mmdiffseg.TwoStateDiffusion', num_timesteps=2, kept=0.5),
        diffusion_sampler=dict(type='mmdiffseg.TwoStateSampler', spacing='trailing', mix=True),
        denoiser=dict(type='mmdiffseg.FeatureMapUNet'),
        own_share=1.0,
        steps=1,
        max_batch=16,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='patches', size=256, min_area=16),
)
