_base_ = './ddp_swin-t_kitti-depth.py'
neck = _base_.model.neck
neck[0].in_channels = [192, 384, 768, 1536]
model = dict(
    backbone=dict(
        embed_dims=192,
        depths=(2, 2, 18, 2),
        num_heads=(6, 12, 24, 48),
        pretrained='swin_large_patch4_window7_224.ms_in22k',
    ),
    neck=neck,
)
