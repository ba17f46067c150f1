# The yardstick of ddp_swin-t_camvid.py: same backbone, data and schedule
_base_ = [
    '../_base_/models/upernet_swin.py',
    '../_base_/datasets/camvid.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_20k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(pretrained=None),
    decode_head=dict(num_classes=11, norm_cfg=dict(type='BN')),
    auxiliary_head=dict(num_classes=11, norm_cfg=dict(type='BN')),
)
train_dataloader = dict(batch_size=16)
