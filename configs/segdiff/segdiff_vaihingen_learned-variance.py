# The network learns the variance of its steps
_base_ = './segdiff_vaihingen.py'
model = dict(
    decode_head=dict(learn_variance=True, diffusion_sampler=dict(variance='learned_range')),
)
