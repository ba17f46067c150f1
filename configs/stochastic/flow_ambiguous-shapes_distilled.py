# One step learns where the 8-step chains of a trained flow end, from the same noise; give the flow
# by --cfg-options load_from=work_dirs/flow_ambiguous-shapes/iter_3000.pth
_base_ = './flow_ambiguous-shapes.py'
model = dict(decode_head=dict(steps=1))
custom_hooks = [*_base_.custom_hooks, dict(type='mmdiffseg.DistillationHook', steps=8)]
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=500, end=1000),
]
train_cfg = dict(max_iters=1000, val_interval=1000)
