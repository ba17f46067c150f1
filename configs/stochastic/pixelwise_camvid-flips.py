# Baseline: every pixel drawn by itself, the lower bound
_base_ = '../_base_/stochastic_camvid-flips.py'
model = dict(
    decode_head=dict(type='mmdiffseg.PixelwiseHead'),
)
