_base_ = './dformer_swin-t_coco-instance.py'
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=12,
        pretrained='swin_base_patch4_window12_384.ms_in1k',
    ),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)
