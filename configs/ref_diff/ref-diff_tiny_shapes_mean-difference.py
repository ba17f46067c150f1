# As released, the mean inside minus the mean outside, which prefers small peaks of these maps
_base_ = './ref-diff_tiny_shapes.py'
model = dict(fusion=dict(area_aware=False))
