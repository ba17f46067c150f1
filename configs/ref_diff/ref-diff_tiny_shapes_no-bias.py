# Without the ramp that sentences about places ask for
_base_ = './ref-diff_tiny_shapes.py'
model = dict(positional_bias=None)
