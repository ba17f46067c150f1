# For training from scratch in minutes, on a CPU core
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, betas=(0.9, 0.999), weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=270),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=270, end=1800),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1800, val_interval=900)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook', by_epoch=False, interval=450, save_best='mIoU'
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
