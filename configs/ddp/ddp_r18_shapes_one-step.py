# Fine-tunes a trained model for an answer in one step
_base_ = './ddp_r18_shapes.py'
model = dict(decode_head=dict(steps=1))
load_from = 'work_dirs/ddp_r18_shapes/iter_1800.pth'
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=20, end=450),
]
train_cfg = dict(max_iters=450, val_interval=450)
custom_hooks = [*_base_.custom_hooks, dict(type='mmdiffseg.OneStepHook', last_iters=450)]
