# To test what was trained on other data; nothing is trained here
_base_ = [
    '../_base_/models/ref_ldm_seg_ldis-n.py',
    '../_base_/datasets/in_context_fss1000.py',
    '../_base_/schedules/ldis_80k.py',
    '../_base_/default_runtime.py',
]
optim_wrapper = None
param_scheduler = None
train_cfg = None
