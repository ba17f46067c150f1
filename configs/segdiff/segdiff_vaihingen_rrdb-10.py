# Sweep over the number of RRDB blocks: 10 instead of 6
_base_ = './segdiff_vaihingen.py'
model = dict(backbone=dict(num_blocks=10))
