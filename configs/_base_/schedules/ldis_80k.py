# Total batch 16 = 2 GPUs x 8. Constant after the warm-up, no clipping: the released code asks for
# clipping at 1.0, which never happens.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(type='AdamW', lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
)
# mmengine reaches the end value at `end - 1`, hence the one
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, by_epoch=False, begin=0, end=10001),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=80000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook', by_epoch=False, interval=8000, max_keep_ckpts=1
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
