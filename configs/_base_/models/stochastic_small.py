# The U-Net of CCDM at a width for CPUs, 0.9 M parameters; the experiments set the head
model = dict(
    type='mmdiffseg.StochasticSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=8),
    ),
    backbone=dict(type='mmdiffseg.IdentityBackbone'),
    decode_head=dict(
        in_channels=3,
        num_classes=7,
        denoiser=dict(
            type='mmdiffseg.CCDMUNet',
            model_channels=32,
            channel_mult=(1, 1, 1, 2),
            num_res_blocks=1,
            attention_downsample=(8,),
        ),
        generations=16,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
