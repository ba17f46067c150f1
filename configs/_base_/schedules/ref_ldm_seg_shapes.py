# For the tiny models, minutes on two CPU cores; the values are ours
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=51),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=1050, eta_min=1e-5),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1050, val_interval=1050)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook', by_epoch=False, interval=250, max_keep_ckpts=2
    ),
)
