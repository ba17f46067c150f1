# SegDiff with its own network, which works on every pixel, and a channel for each class
_base_ = [
    '../_base_/models/segdiff_small.py',
    '../_base_/datasets/ambiguous_shapes.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/adamw_3k_ema.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=7,
        generations=16,
        loss_reduction='mean',
        # for short trainings, see segdiff_shapes.py
        clip_denoised=True,
        diffusion_sampler=dict(variance='fixed_small'),
        steps=32,
    ),
)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=1e-2),
]
