# What the methods on CamVid with flipped classes share: network, data, training, number of samples.
# One process x 8 crops of 128 x 128; minutes on a CPU core. An experiment sets the head.
_base_ = [
    './models/stochastic_features.py',
    './datasets/camvid_flips.py',
    './ema_runtime.py',
    './schedules/adamw_3k_ema.py',
]
crop_size = (128, 128)
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes=16, generations=16, max_batch=16),
)
train_pipeline = [
    *_base_.train_pipeline[:-3],
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.train_pipeline[-3:],
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=200, end=400),
]
train_cfg = dict(max_iters=400, val_interval=400)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-2),
]
