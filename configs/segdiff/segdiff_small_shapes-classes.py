# Several classes, our extension: a channel for each, the largest mean wins; scored by IoUMetric
_base_ = [
    '../_base_/models/segdiff_small.py',
    '../_base_/datasets/shapes.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/segdiff_20k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=7, loss_reduction='mean'),
)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-3),
]
