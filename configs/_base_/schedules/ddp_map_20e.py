# Total batch 32; the authors train in float16 (`--amp`). Learning rate up to 5e-4 and down, the
# first beta the other way round.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(
            absolute_pos_embed=dict(decay_mult=0.0),
            relative_position_bias_table=dict(decay_mult=0.0),
        )
    ),
    clip_grad=dict(max_norm=35),
)
up = dict(begin=0, T_max=8, end=8, by_epoch=True, convert_to_iter_based=True)
down = dict(begin=8, T_max=12, end=20, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=5e-4, **up),
    dict(type='CosineAnnealingLR', eta_min=5e-9, **down),
    dict(type='CosineAnnealingMomentum', eta_min=0.9 * 0.85 / 0.95, **up),
    dict(type='CosineAnnealingMomentum', eta_min=0.9, **down),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook',
        interval=1,
        save_best='map/mean/iou@max',
        rule='greater',
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=32)
