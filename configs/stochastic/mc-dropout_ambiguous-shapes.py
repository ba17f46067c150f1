# Baseline: dropout at test time
_base_ = '../_base_/stochastic_shapes.py'
model = dict(
    decode_head=dict(type='mmdiffseg.MCDropoutHead', dropout=0.5),
)
