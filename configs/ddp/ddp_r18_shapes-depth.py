# One process x 8 images; minutes on a CPU core
_base_ = [
    '../_base_/models/ddp_depth_r18.py',
    '../_base_/datasets/shapes_depth.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_1800.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(min_depth=_base_.min_depth, max_depth=_base_.max_depth),
)
default_hooks = dict(checkpoint=dict(save_best='abs_rel', rule='less'))
tta_model = dict(type='mmdiffseg.DepthTTAModel')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=135),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=135, end=900),
]
train_cfg = dict(max_iters=900, val_interval=450)
