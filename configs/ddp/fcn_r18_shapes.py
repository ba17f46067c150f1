# The yardstick of ddp_r18_shapes.py: the same backbone, neck, loss and data under a plain FCN head,
# and a quarter more iterations, because DDP's take a quarter longer
_base_ = './ddp_r18_shapes.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=32,
        in_index=0,
        channels=32,
        num_convs=2,
        concat_input=False,
        num_classes=7,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=_base_.model.decode_head.loss_decode,
    )
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=340),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=340, end=2250),
]
train_cfg = dict(max_iters=2250, val_interval=1125)
