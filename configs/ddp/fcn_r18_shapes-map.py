# The yardstick of ddp_r18_shapes-map.py: the same backbone, neck, loss and data under convolutions
# with nearly as many parameters, and seven tenths more iterations, because DDP's take that much
# longer
_base_ = './ddp_r18_shapes-map.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='mmdiffseg.FCNMapHead',
        in_channels=32,
        channels=32,
        num_classes=6,
        input_scope=_base_.model.decode_head.input_scope,
        output_scope=_base_.model.decode_head.output_scope,
        num_convs=6,
        norm_cfg=dict(type='BN', requires_grad=True),
        loss_decode=_base_.model.decode_head.loss_decode,
    )
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=306),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=306, end=2040),
]
train_cfg = dict(max_iters=2040, val_interval=1020)
