# Buildings of Vaihingen at 256x256, by tools/dataset_converters/vaihingen_buildings.py. A fifth of
# the training images chooses the checkpoint; the paper has no such part.
dataset_type = 'mmdiffseg.BinarySegDataset'
data_root = 'data/vaihingen'
crop_size = (256, 256)
metainfo = dict(classes=('background', 'building'))
# RGB, of images in [0, 1]
img_norm_cfg = dict(
    mean=[255 * mean for mean in (0.47341759, 0.28791303, 0.2850705)],
    std=[255 * std for std in (0.22645572, 0.15276193, 0.140702)],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='mmdiffseg.RandomRotateScale', degrees=(0, 360), scale=(0.75, 1.5)),
    dict(type='mmdiffseg.ColorJitter', brightness=0.6, contrast=0.5, saturation=0.4, hue=0.025),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        ann_file='minitrain.txt',
        img_suffix='.png',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        ann_file='minival.txt',
        img_suffix='.png',
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='images/test', seg_map_path='labels/test'),
        img_suffix='.png',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmdiffseg.BinaryMaskMetric')
test_evaluator = val_evaluator
