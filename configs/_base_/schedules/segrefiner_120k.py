# SegRefiner, low resolution: half the rate after 80k and 100k iterations, no warm-up, no EMA
optim_wrapper = dict(
    type='mmdiffseg.GuardedOptimWrapper',
    optimizer=dict(type='AdamW', lr=4e-4, betas=(0.9, 0.999), weight_decay=0.0),
    dtype='float32',
)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[80000, 100000], gamma=0.5)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=120000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
