# Fine-tunes a finished run on the model's own predictions; tested at 10 steps
_base_ = './ddp_convnext-t_cityscapes.py'
model = dict(
    backbone=dict(pretrained=None),
    decode_head=dict(self_aligned=True, steps=10),
)
load_from = 'work_dirs/ddp_convnext-t_cityscapes/iter_160000.pth'
optim_wrapper = dict(optimizer=dict(lr=6e-6))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=5001),
]
train_cfg = dict(max_iters=5000, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
