# EfficientNet-Lite0 up to stride 16, read once per image, under a light U-Net over 2 x 2 patches.
# 2.4 M parameters with two classes; the models set host, head and test_cfg
model = dict(
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
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
        in_channels=(3, 16, 24, 40, 112),
        denoiser=dict(type='mmdiffseg.FeatureMapUNet'),
    ),
    train_cfg=dict(),
)
