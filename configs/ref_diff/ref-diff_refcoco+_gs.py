_base_ = [
    '../_base_/models/ref_diff_gs.py',
    '../_base_/datasets/refcoco_plus.py',
    '../_base_/default_runtime.py',
    '../_base_/zero_shot.py',
]
model = dict(proposal_filter=dict(min_pixels=10000))
