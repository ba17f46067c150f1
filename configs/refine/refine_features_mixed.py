# The shipped model `refiner`: one process x 8 crops of 128 x 128
_base_ = [
    '../_base_/models/refine_features.py',
    '../_base_/datasets/refine_mixed_128.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/refine_features_2k.py',
]
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=5e-3),
]
