# Total batch 16. Parameter groups as the authors' code forms them: of several matching keys the
# longest wins, then the first in the alphabet, so `head` keeps the decay of every norm in a head.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(
            pos_block=dict(decay_mult=0.0),
            norm=dict(decay_mult=0.0),
            head=dict(lr_mult=1.0),
        )
    ),
)
# Both run from the start and multiply. mmengine reaches the end value at `end - 1`, hence the ones.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=160001),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook', by_epoch=False, interval=16000, save_best='mIoU'
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
