# The model of the released code, whose decoder is not told the time. That leaves the time embedding
# without a gradient.
_base_ = './ddp_swin-t_nyu-depth.py'
model = dict(decode_head=dict(denoiser=dict(time_modulation=False)))
find_unused_parameters = True
