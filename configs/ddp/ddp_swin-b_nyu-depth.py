_base_ = './ddp_swin-t_nyu-depth.py'
neck = _base_.model.neck
neck[0].in_channels = [128, 256, 512, 1024]
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        pretrained='swin_base_patch4_window7_224.ms_in22k',
    ),
    neck=neck,
)
