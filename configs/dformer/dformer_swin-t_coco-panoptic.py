# 4 GPUs x 3 images = 12
_base_ = [
    '../_base_/models/dformer_swin.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/mmdet_runtime.py',
    '../_base_/schedules/dformer_coco.py',
]
classes = dict(num_things_classes=80, num_stuff_classes=53)
model = dict(panoptic_head=classes, panoptic_fusion_head=classes)
default_hooks = dict(checkpoint=dict(save_best='coco_panoptic/PQ', rule='greater'))
