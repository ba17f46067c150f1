# The shipped model `refiner`: one process x 8 crops of 96 x 96, from the weights of `nuclei`
_base_ = [
    '../_base_/models/refine_features.py',
    '../_base_/datasets/refine_mixed_96.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/refine_4k.py',
]
# written by tools/model_converters/samples_to_refiner.py
load_from = 'nuclei_as_refiner.pth'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=5e-3),
]
