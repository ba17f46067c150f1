# A refiner of 2.6 M parameters for objects of any kind; one process x 8 crops of 128 x 128
_base_ = [
    '../_base_/models/refine_tiny.py',
    '../_base_/datasets/refine_mixed_128.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/refine_4k.py',
]
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=2e-3),
]
