# Sweep over the number of diffusion steps, T = 25, with 3 RRDB blocks
_base_ = './segdiff_vaihingen.py'
model = dict(
    backbone=dict(num_blocks=3),
    decode_head=dict(noise_schedule=dict(num_timesteps=25)),
)
