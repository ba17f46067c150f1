_base_ = [
    '../_base_/models/ref_ldm_seg_ldis-n.py',
    '../_base_/datasets/in_context_coco_20i.py',
    '../_base_/schedules/ldis_80k.py',
    '../_base_/default_runtime.py',
]
