_base_ = './dformer_swin-t_ade20k-semantic.py'
model = dict(
    backbone=dict(
        depths=(2, 2, 18, 2),
        pretrained='swin_small_patch4_window7_224.ms_in1k',
    ),
)
