# Ablation: the image is added after the 1st down-sampling
_base_ = './segdiff_vaihingen.py'
model = dict(decode_head=dict(denoiser=dict(fusion_level=1)))
