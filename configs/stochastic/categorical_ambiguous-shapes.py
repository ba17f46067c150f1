# Every pixel may take any class at every step
_base_ = '../_base_/stochastic_shapes.py'
model = dict(
    decode_head=dict(
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(
            type='mmdiffseg.UniformDiffusion',
            schedule=dict(type='mmdiffseg.CosineBetas', num_timesteps=250),
        ),
        # with few steps the likeliest class at the end would suppress rare answers
        diffusion_sampler=dict(type='mmdiffseg.CategoricalSampler', final='sample'),
        loss='ce',
        loss_reduction='mean',
        steps=32,
    ),
)
