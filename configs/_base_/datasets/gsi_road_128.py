# Roads in aerial images of 572x572, at half of that: a crop has to show where a road goes. Crops
# for training, augmented like SegDiff's Vaihingen but turned before they are cut, which spares most
# of them the black corners. Whole images for validation, so let the model slide a window of
# crop_size; metrics are taken at the size of the original.
dataset_type = 'mmdiffseg.BinarySegDataset'
data_root = 'data/gsi_road'
crop_size = (128, 128)
half = dict(type='Resize', scale_factor=0.5, keep_ratio=True)
metainfo = dict(classes=('background', 'road'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    half,
    dict(type='mmdiffseg.RandomRotateScale', degrees=(0, 360), scale=(0.75, 1.5)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='mmdiffseg.ColorJitter', brightness=0.6, contrast=0.5, saturation=0.4, hue=0.025),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    half,
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
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
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmdiffseg.BinaryMaskMetric')
test_evaluator = val_evaluator
