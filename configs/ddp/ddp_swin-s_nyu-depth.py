_base_ = './ddp_swin-t_nyu-depth.py'
model = dict(
    backbone=dict(depths=(2, 2, 18, 2), pretrained='swin_small_patch4_window7_224.ms_in1k')
)
