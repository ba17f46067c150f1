# What all methods on Ambiguous Shapes share: network, data, training, number of samples.
# One process x 8 images of 64 x 64; minutes on a CPU core. An experiment sets the head.
_base_ = [
    './models/stochastic_features.py',
    './datasets/ambiguous_shapes.py',
    './ema_runtime.py',
    './schedules/adamw_3k_ema.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=7, generations=16),
)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-2),
]
