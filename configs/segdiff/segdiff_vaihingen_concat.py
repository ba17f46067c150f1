# Ablation: the features of mask and image are concatenated instead of added
_base_ = './segdiff_vaihingen.py'
model = dict(decode_head=dict(denoiser=dict(fusion='concat')))
