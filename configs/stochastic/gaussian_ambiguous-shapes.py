# Gaussian diffusion of one-hot codes, SegDiff's sampler
_base_ = '../_base_/stochastic_shapes.py'
model = dict(
    decode_head=dict(
        type='mmdiffseg.EncodedMapHead',
        label_encoder=dict(type='mmdiffseg.OneHotEncoder', scale=1.0),
        noise_schedule=dict(type='mmdiffseg.LinearBetas', num_timesteps=250),
        diffusion_sampler=dict(
            type='mmdiffseg.DDPMSampler', spacing='uniform', variance='fixed_small'
        ),
        prediction_type='x0',
        steps=32,
    ),
)
