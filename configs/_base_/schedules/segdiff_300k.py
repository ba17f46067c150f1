# Constant learning rate, no decay, no clipping; goes with ema_runtime.py
optim_wrapper = dict(
    type='mmdiffseg.GuardedOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0),
    dtype='float32',
)
param_scheduler = []
# The authors validate at 60k and at every 5k from 75k on; a validation samples for hours
train_cfg = dict(type='IterBasedTrainLoop', max_iters=299999, val_begin=60000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=200, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook',
        by_epoch=False,
        interval=5000,
        max_keep_ckpts=2,
        save_best='mIoU',
    ),
)
