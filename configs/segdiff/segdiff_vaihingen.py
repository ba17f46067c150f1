# 2 GPUs x 4 images = 8
_base_ = [
    '../_base_/models/segdiff.py',
    '../_base_/datasets/vaihingen_buildings.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/segdiff_300k.py',
]
model = dict(
    data_preprocessor=dict(
        size=_base_.crop_size, **_base_.img_norm_cfg, test_cfg=dict(size_divisor=64)
    ),
    backbone=dict(num_blocks=6),
    decode_head=dict(
        denoiser=dict(
            channel_mult=(1, 1, 1, 2, 2, 4, 4),
            attention_downsample=(16, 32),
            dropout=0.1,
        ),
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
