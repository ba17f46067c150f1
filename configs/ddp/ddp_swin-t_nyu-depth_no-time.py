# The model of the released code, whose decoder is not told the time and whose sampling starts at
# t = 1. That leaves the time embedding without a gradient.
_base_ = './ddp_swin-t_nyu-depth.py'
model = dict(
    decode_head=dict(
        denoiser=dict(time_modulation=False),
        diffusion_sampler=dict(t_max=1.0),
    )
)
find_unused_parameters = True
