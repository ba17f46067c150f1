# Nuclei at 512x512, by tools/dataset_converters/monuseg.py. Crops for training, whole images
# otherwise, so let the model slide a window of crop_size. A fifth of the training images chooses
# the checkpoint; the paper has no such part.
dataset_type = 'mmdiffseg.BinarySegDataset'
data_root = 'data/monuseg'
crop_size = (256, 256)
metainfo = dict(classes=('background', 'nucleus'))
img_norm_cfg = dict(mean=[142.07, 98.48, 132.96], std=[65.78, 57.05, 57.78])  # RGB
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='mmdiffseg.RandomRotateScale', degrees=(-22, 22), scale=(0.75, 1.25)),
    dict(type='mmdiffseg.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=2,
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
