# 8 GPUs x 2 crops; pictures of 2000 pixels and more
_base_ = [
    '../_base_/models/segrefiner.py',
    '../_base_/datasets/dis5k_256.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/segrefiner_120k.py',
]
model = dict(test_cfg=dict(mode='global_local', min_area=129))
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[20000, 35000], gamma=0.5)]
train_cfg = dict(max_iters=40000, val_interval=5000)
auto_scale_lr = dict(base_batch_size=16)
