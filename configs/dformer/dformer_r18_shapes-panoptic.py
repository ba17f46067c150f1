# One process x 8 images; half an hour on a CPU core. The backbone is trained first, by
# fcn_r18_shapes-backbone.py: set queries learn classes slowly from random weights
_base_ = [
    '../_base_/models/dformer_r18.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/mmdet_runtime.py',
    '../_base_/schedules/adamw_1800.py',
]
classes = dict(num_things_classes=6, num_stuff_classes=1)
model = dict(panoptic_head=classes, panoptic_fusion_head=classes)
load_from = 'work_dirs/fcn_r18_shapes-backbone/iter_1500.pth'
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=100, end=1600),
]
train_cfg = dict(max_iters=1600, val_interval=800)
default_hooks = dict(checkpoint=dict(interval=400, save_best='coco_panoptic/PQ', rule='greater'))
