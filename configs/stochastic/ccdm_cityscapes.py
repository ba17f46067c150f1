# 1 GPU x 16 images of 256 x 512, without the features of DINO: 30.1 M parameters
_base_ = [
    '../_base_/models/ccdm.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/ccdm.py',
]
crop_size = (256, 512)
resize = dict(type='Resize', scale=(512, 256), keep_ratio=False, backend='pillow')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    _base_.check_labels,
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdiffseg.ColorJitter', brightness=0.5, contrast=0.5, saturation=0.5),
    dict(type='PackSegInputs'),
]
# scored at the size of the network's input, as in the released file
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    _base_.check_labels,
    resize,
    dict(type='mmdiffseg.ScoreAtInputSize'),
    dict(type='PackSegInputs'),
]
model = dict(
    data_preprocessor=dict(
        size=crop_size,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        test_cfg=dict(size_divisor=32),
    ),
    decode_head=dict(
        in_channels=3,
        num_classes=19,
        void_class=True,
        denoiser=dict(
            model_channels=64, channel_mult=(1, 1, 2, 2, 4, 4), attention_downsample=(8, 16, 32)
        ),
        generations=1,
    ),
)
train_dataloader = dict(
    batch_size=16,
    drop_last=True,
    sampler=dict(type='DefaultSampler'),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
param_scheduler = [
    dict(type='PolyLR', power=1.0, eta_min=1e-6, begin=0, end=800, convert_to_iter_based=True),
]
# the release validates every 5000 iterations, about 27 epochs
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=800, val_interval=27)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(type='CheckpointHook', interval=27, max_keep_ckpts=3, save_best='mIoU'),
)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-3),
]
log_processor = dict(by_epoch=True)
