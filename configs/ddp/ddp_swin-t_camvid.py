# 1 GPU x 16 images, from scratch
_base_ = [
    '../_base_/models/ddp_swin.py',
    '../_base_/datasets/camvid.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_20k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(pretrained=None),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11, norm_cfg=dict(type='BN')),
)
train_dataloader = dict(batch_size=16)
