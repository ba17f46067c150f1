# One process x 8 images; minutes on a CPU core. Scopes are in pixels of the picture: a feature's
# cell is four of them wide, one of the map two.
_base_ = [
    '../_base_/models/ddp_map_r18.py',
    '../_base_/datasets/shapes_map.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_1800.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        input_scope=[(0, 96, 4), (0, 96, 4)],
        output_scope=[(0, 96, 2), (0, 96, 2)],
    ),
)
default_hooks = dict(checkpoint=dict(save_best='map/mean/iou@max', rule='greater'))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=180),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=180, end=1200),
]
train_cfg = dict(max_iters=1200, val_interval=600)
