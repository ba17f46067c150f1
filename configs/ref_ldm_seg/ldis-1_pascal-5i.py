_base_ = [
    '../_base_/models/ref_ldm_seg_ldis-1.py',
    '../_base_/datasets/in_context_pascal_5i.py',
    '../_base_/schedules/ldis_80k.py',
    '../_base_/default_runtime.py',
]
