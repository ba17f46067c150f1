# Its yaml in the release cannot be read (unknown key MODEL.MASK_FORMER): schedule and number of
# queries are those it asks for.
_base_ = './dformer_swin-t_coco-instance.py'
model = dict(
    backbone=dict(
        embed_dims=192,
        depths=(2, 2, 18, 2),
        num_heads=(6, 12, 24, 48),
        window_size=12,
        pretrained='swin_large_patch4_window12_384.ms_in22k',
    ),
    panoptic_head=dict(num_queries=200, in_channels=[192, 384, 768, 1536]),
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=737500,
        milestones=[655556, 710184],
        gamma=0.1,
    )
]
train_cfg = dict(max_iters=737500)
