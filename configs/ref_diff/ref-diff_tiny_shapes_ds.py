# CLIP chooses among given masks (/DS)
_base_ = './ref-diff_tiny_shapes_full.py'
model = dict(generator=None, positional_bias=dict(on=('hard',)), fusion=dict(gen=0.0))
