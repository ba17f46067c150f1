# Layers of the map decoder (6 by default)
_base_ = './ddp_swin-t_ade20k.py'
model = dict(decode_head=dict(denoiser=dict(num_layers=9)))
