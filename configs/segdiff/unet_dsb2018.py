# mmseg's U-Net with an FCN head, to set beside SegDiff on the same data and schedule
_base_ = [
    '../_base_/models/fcn_unet.py',
    '../_base_/datasets/dsb2018_128.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/segdiff_20k.py',
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    test_cfg=dict(crop_size=_base_.crop_size, stride=(96, 96)),
)
val_evaluator = dict(from_logits=True)
test_evaluator = val_evaluator
