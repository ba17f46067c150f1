# For a refiner on a pretrained encoder, on a CPU core; goes with ema_runtime.py
_base_ = './refine_4k.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=800, end=2000),
]
train_cfg = dict(max_iters=2000, val_interval=2000)
