# For a refiner that begins as another model, within an hour on a CPU core
_base_ = './refine_4k.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=2000, end=6000),
]
train_cfg = dict(max_iters=6000, val_interval=6000)
default_hooks = dict(checkpoint=dict(interval=1000))
