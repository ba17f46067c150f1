# 4 GPUs x 3 images = 12
_base_ = [
    '../_base_/models/dformer.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/mmdet_runtime.py',
    '../_base_/schedules/dformer_coco.py',
]
classes = dict(num_things_classes=80, num_stuff_classes=0)
model = dict(
    data_preprocessor=dict(pad_seg=False),
    panoptic_head=classes,
    panoptic_fusion_head=classes,
    test_cfg=dict(panoptic_on=False, semantic_on=False),
)
default_hooks = dict(checkpoint=dict(save_best='coco/segm_mAP'))
