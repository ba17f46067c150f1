# CamVid whose classes flip together, by categorical diffusion
_base_ = '../_base_/stochastic_camvid-flips.py'
model = dict(
    decode_head=dict(
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(
            type='mmdiffseg.UniformDiffusion',
            schedule=dict(type='mmdiffseg.CosineBetas', num_timesteps=250),
            train_times='log_snr',
        ),
        diffusion_sampler=dict(
            type='mmdiffseg.CategoricalSampler',
            spacing='log_snr',
            coupling='common',
        ),
        loss='ce',
        loss_reduction='mean',
        steps=8,
    ),
)
