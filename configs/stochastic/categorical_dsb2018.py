# The shipped model `nuclei`: 1 process x 4 crops of 256, an hour on a CPU core
_base_ = [
    '../_base_/models/stochastic_features.py',
    '../_base_/datasets/dsb2018_256.py',
    '../_base_/ema_runtime.py',
    '../_base_/schedules/adamw_4k_ema.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(
            type='mmdiffseg.UniformDiffusion',
            schedule=dict(type='mmdiffseg.CosineBetas', num_timesteps=250),
        ),
        # one mask is right, so that the mean counts: that of probabilities needs fewer samples than
        # that of drawn masks
        diffusion_sampler=dict(
            type='mmdiffseg.CategoricalSampler', spacing='geometric', final='probs'
        ),
        loss='ce',
        loss_reduction='mean',
        steps=4,
    ),
)
custom_hooks = [
    dict(type='mmdiffseg.SeedEachIterationHook'),
    dict(type='mmdiffseg.UpdateEMAHook', momentum=5e-3),
]
