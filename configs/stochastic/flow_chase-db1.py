# Rectified flow on one-hot codes, by Euler steps
_base_ = '../_base_/stochastic_chase.py'
model = dict(
    decode_head=dict(
        type='mmdiffseg.EncodedMapHead',
        label_encoder=dict(type='mmdiffseg.OneHotEncoder', scale=1.0),
        # near noise, where a chain decides which answer it becomes
        noise_schedule=dict(type='mmdiffseg.LinearInterpolant', shift=16.0),
        diffusion_sampler=dict(type='mmdiffseg.EulerSampler'),
        prediction_type='x0',
        steps=4,
    ),
)
