# For a refiner that begins as another model, in minutes on a CPU core; goes with ema_runtime.py,
# whose average stands in for a falling learning rate
_base_ = './refine_4k.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
param_scheduler = [dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=100)]
train_cfg = dict(max_iters=500, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=250))
