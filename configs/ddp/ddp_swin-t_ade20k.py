# 8 GPUs x 2 images = 16
_base_ = [
    '../_base_/models/ddp_swin.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/ddp_160k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=150, accumulation='prob'),
    auxiliary_head=dict(num_classes=150),
)
optim_wrapper = dict(clip_grad=dict(max_norm=0.1))
train_dataloader = dict(batch_size=2)
