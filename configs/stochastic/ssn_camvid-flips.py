# Baseline: low-rank Gaussian logits
_base_ = '../_base_/stochastic_camvid-flips.py'
model = dict(
    decode_head=dict(type='mmdiffseg.SSNHead', rank=10, loss_reduction='mean'),
)
