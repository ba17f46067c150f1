# Listed episodes over a few pictures of COCO, to test what was trained elsewhere
_base_ = [
    '../_base_/models/ref_ldm_seg_ldis-n.py',
    '../_base_/datasets/in_context_coco_mini.py',
    '../_base_/default_runtime.py',
]
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
