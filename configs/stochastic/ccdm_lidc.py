# 1 GPU x 16 images of 128 x 128: params.yml of the released code, 5.7 M parameters
_base_ = [
    '../_base_/models/ccdm.py',
    '../_base_/datasets/lidc.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/ccdm.py',
]
model = dict(
    data_preprocessor=dict(
        size=_base_.crop_size,
        mean=[127.5],
        std=[127.5],
        bgr_to_rgb=False,
        test_cfg=dict(size_divisor=16),
    ),
    decode_head=dict(
        in_channels=1,
        num_classes=2,
        denoiser=dict(
            model_channels=32, channel_mult=(1, 1, 2, 3, 4), attention_downsample=(8, 16)
        ),
        generations=16,
    ),
)
train_dataloader = dict(drop_last=True, sampler=dict(type='DefaultSampler'))
param_scheduler = [
    dict(type='PolyLR', power=1.0, eta_min=1e-6, begin=0, end=2000, convert_to_iter_based=True),
]
# the release validates every 2500 iterations, about four epochs
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2000, val_interval=4)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(
        type='CheckpointHook',
        interval=4,
        max_keep_ckpts=3,
        save_best=['GED@16', 'HM_IoU@16'],
        rule=['less', 'greater'],
    ),
)
test_evaluator = dict(num_samples=[1, 2, 4, 8, 16])
log_processor = dict(by_epoch=True)
