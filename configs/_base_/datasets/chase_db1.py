# Vessels of the retina by two observers, 960x999. Crops for training, whole images for validation,
# so let the model slide a window of crop_size.
dataset_type = 'mmdiffseg.MultiRaterDataset'
data_root = 'data/chase_db1'
crop_size = (128, 128)
metainfo = dict(classes=('background', 'vessel'), palette=[[47, 50, 60], [243, 156, 18]])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.DrawRater'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadRaters'),
    dict(type='mmdiffseg.PackRaterInputs'),
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
        data_prefix=dict(img_path='images/train'),
        raters='rater*/train',
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
        data_prefix=dict(img_path='images/val'),
        raters='rater*/val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmdiffseg.DistributionMetric')
test_evaluator = val_evaluator
