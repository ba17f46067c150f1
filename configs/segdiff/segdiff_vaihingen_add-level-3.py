# Ablation: the image is added after the 3rd down-sampling
_base_ = './segdiff_vaihingen.py'
model = dict(decode_head=dict(denoiser=dict(fusion_level=3)))
