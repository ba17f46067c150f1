# 8 GPUs x 2 images = 16
_base_ = [
    '../_base_/models/ddp_depth_swin.py',
    '../_base_/datasets/nyu_depth.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/ddp_depth_38k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(min_depth=_base_.min_depth, max_depth=_base_.max_depth),
)
optim_wrapper = dict(optimizer=dict(lr=6e-5))
train_cfg = dict(val_interval=1600)
default_hooks = dict(checkpoint=dict(interval=1600))
tta_model = dict(type='mmdiffseg.DepthTTAModel')
