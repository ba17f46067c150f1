# DFormer on ResNet-50 for semantic segmentation, in mmseg; the experiments add the classes
_base_ = './dformer.py'
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=32),
    ),
    backbone=_base_.model.backbone,
    decode_head=dict(
        _base_.model.panoptic_head,
        type='mmdiffseg.DFormerSegHead',
        train_cfg=_base_.model.train_cfg,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
