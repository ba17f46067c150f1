# Every pixel may take any class at every step
_base_ = '../_base_/stochastic_shapes.py'
model = dict(
    decode_head=dict(
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(
            type='mmdiffseg.UniformDiffusion',
            schedule=dict(type='mmdiffseg.CosineBetas', num_timesteps=250),
            train_times='log_snr',
        ),
        # with few steps, draws of every pixel by itself would suppress rare answers, and so would a
        # new choice at every step
        diffusion_sampler=dict(
            type='mmdiffseg.CategoricalSampler',
            spacing='log_snr',
            coupling='common',
            persistence=0.5,
        ),
        loss='ce',
        loss_reduction='mean',
        steps=8,
    ),
)
