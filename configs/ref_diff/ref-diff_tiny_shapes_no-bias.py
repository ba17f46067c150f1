# Sentences that say where, without the ramp
_base_ = './ref-diff_tiny_shapes.py'
model = dict(positional_bias=None)
