# DFormer on Swin-T for panoptic and instance segmentation
_base_ = './dformer.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdiffseg.SwinTransformer',
        embed_dims=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        drop_path_rate=0.3,
        pretrained='swin_tiny_patch4_window7_224.ms_in1k',
    ),
    panoptic_head=dict(in_channels=[96, 192, 384, 768]),
)
