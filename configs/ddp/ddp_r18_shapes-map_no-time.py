# The decoder is not told the time, as in the released code
_base_ = './ddp_r18_shapes-map.py'
model = dict(decode_head=dict(denoiser=dict(time_modulation=False)))
find_unused_parameters = True
