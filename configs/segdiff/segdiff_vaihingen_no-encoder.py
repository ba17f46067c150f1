# Ablation: no image encoder, the image is concatenated to the noisy mask
_base_ = './segdiff_vaihingen.py'
model = dict(
    backbone=dict(_delete_=True, type='mmdiffseg.IdentityBackbone'),
    decode_head=dict(in_channels=3, denoiser=dict(fusion='input_concat')),
)
