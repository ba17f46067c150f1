# 8 GPUs x 2 images = 16
_base_ = [
    '../_base_/models/dformer_semantic_swin.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/dformer_160k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=150),
)
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
