# Sweep over the number of RRDB blocks: 1 instead of 6
_base_ = './segdiff_vaihingen.py'
model = dict(backbone=dict(num_blocks=1))
