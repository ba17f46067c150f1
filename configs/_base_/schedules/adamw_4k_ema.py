# For fine-tuning a pretrained encoder in an hour, on a CPU core; goes with ema_runtime.py
_base_ = './adamw_3k_ema.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=2000, end=4000),
]
train_cfg = dict(max_iters=4000, val_interval=4000)
default_hooks = dict(
    checkpoint=dict(type='mmdiffseg.WholeCheckpointHook', by_epoch=False, interval=500)
)
auto_scale_lr = dict(base_batch_size=4)
