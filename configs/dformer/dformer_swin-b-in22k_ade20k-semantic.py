_base_ = './dformer_swin-b_ade20k-semantic.py'
model = dict(backbone=dict(pretrained='swin_base_patch4_window12_384.ms_in22k'))
