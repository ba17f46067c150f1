# 8 GPUs x 2 images, prepared as for Mask2Former and DFormer: sixteen sizes, crops of any content,
# colours before the flip, padding with 128, Pillow's smoothing where an image is shrunk
_base_ = './ade20k.py'
crop_size = (512, 512)
check_labels = dict(type='mmdiffseg.CheckLabels', num_classes=150)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    check_labels,
    dict(
        type='RandomChoiceResize',
        # shortest edge, unless the longest would exceed 2048
        scales=[(2048, int(512 * 0.1 * k)) for k in range(5, 21)],
        resize_type='Resize',
        keep_ratio=True,
        backend='pillow',
    ),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=crop_size, pad_val=dict(img=(128, 128, 128), seg=255)),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations'),
    check_labels,
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
