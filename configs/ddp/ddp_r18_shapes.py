# One process x 16 images; minutes on two CPU cores
_base_ = [
    '../_base_/models/ddp_r18.py',
    '../_base_/datasets/shapes.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_2k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=9),
    auxiliary_head=dict(num_classes=9),
)
train_dataloader = dict(batch_size=16)
