# Teaches the backbone of the other configs for Shapes what ImageNet does elsewhere, in ten minutes
_base_ = '../ddp/fcn_r18_shapes.py'
model = dict(backbone=dict(strides=(1, 1, 2, 2)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=1500),
]
train_cfg = dict(max_iters=1500, val_interval=1500)
