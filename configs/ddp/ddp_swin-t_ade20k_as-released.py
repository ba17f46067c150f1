# Sampling starts at t = 1, as in the released code; training never goes beyond 0.999
_base_ = './ddp_swin-t_ade20k.py'
model = dict(decode_head=dict(diffusion_sampler=dict(t_max=1.0)))
