# 4 GPUs x 2 crops = 8
_base_ = [
    '../_base_/models/segdiff.py',
    '../_base_/datasets/monuseg.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/segdiff_300k.py',
]
model = dict(
    data_preprocessor=dict(
        size=_base_.crop_size, **_base_.img_norm_cfg, test_cfg=dict(size_divisor=64)
    ),
    backbone=dict(num_blocks=12),
    decode_head=dict(
        denoiser=dict(
            channel_mult=(1, 1, 1, 2, 2, 4, 4),
            attention_downsample=(16, 32),
        ),
    ),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=_base_.crop_size),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
