# Full width, 128-pixel crops; one process x 8
_base_ = [
    '../_base_/models/segdiff.py',
    '../_base_/datasets/dsb2018_128.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/segdiff_20k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(num_blocks=6),
    decode_head=dict(loss_reduction='mean'),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(96, 96)),
)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-3),
]
