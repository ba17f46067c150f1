# For small data sets, about half an hour on one GPU; goes with ema_runtime.py
optim_wrapper = dict(
    type='mmdiffseg.GuardedOptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.0),
    dtype='float32',
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_begin=4000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook',
        by_epoch=False,
        interval=2000,
        max_keep_ckpts=2,
        save_best='mIoU',
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
