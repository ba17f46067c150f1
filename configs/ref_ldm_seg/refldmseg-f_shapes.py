# On generated pictures and tiny models, for demos and tests
_base_ = [
    '../_base_/models/ref_ldm_seg_tiny-1.py',
    '../_base_/datasets/in_context_shapes.py',
    '../_base_/schedules/ref_ldm_seg_shapes.py',
    '../_base_/default_runtime.py',
]
