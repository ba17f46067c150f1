# EfficientNet-Lite0 up to stride 16, read once per image, under a light U-Net over 2 x 2 patches.
# 1.8 M parameters; the experiments set the head
model = dict(
    type='mmdiffseg.StochasticSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=16),
    ),
    backbone=dict(
        type='mmdiffseg.ImageAndFeatures',
        backbone=dict(
            type='mmdiffseg.TimmFeatures',
            model='tf_efficientnet_lite0',
            out_indices=(0, 1, 2, 3),
            # from the wheel: see tools/model_converters/efficientnet_lite0_to_timm.py
            pretrained='tf_efficientnet_lite0.in1k',
        ),
    ),
    decode_head=dict(
        in_channels=(3, 16, 24, 40, 112),
        num_classes=2,
        denoiser=dict(type='mmdiffseg.FeatureMapUNet'),
        generations=4,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
