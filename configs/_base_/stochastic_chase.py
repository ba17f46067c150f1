# What the methods on CHASE_DB1 share: network, data, training, number of samples.
# One process x 8 crops of 128 x 128; minutes on a CPU core. An experiment sets the head.
_base_ = [
    './models/stochastic_features.py',
    './datasets/chase_db1.py',
    './ema_runtime.py',
    './schedules/adamw_3k_ema.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(generations=8),
)
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=500, end=1000),
]
train_cfg = dict(max_iters=1000, val_interval=1000)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-2),
]
