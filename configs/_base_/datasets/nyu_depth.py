# `--tta` averages the image and its mirror image, the authors' way to test.
dataset_type = 'mmdiffseg.NYUDataset'
data_root = 'data/nyu'
crop_size = (416, 544)
min_depth, max_depth = 1e-3, 10
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadDepthAnnotation', depth_rescale_factor=1e-3),
    dict(type='mmdiffseg.CheckDepth', max_depth=max_depth),
]
train_pipeline = [
    *load,
    dict(type='mmdiffseg.NYUCrop'),
    dict(type='RandomRotate', prob=0.5, degree=2.5, pad_val=0, seg_pad_val=0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='mmdiffseg.ColorAug', prob=0.5, brightness_range=(0.75, 1.25)),
    dict(type='PackSegInputs'),
]
test_pipeline = [*load, dict(type='PackSegInputs')]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='PackSegInputs')],
        ],
    ),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/train', depth_map_path='annotations/train'),
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
        data_prefix=dict(img_path='images/test', depth_map_path='annotations/test'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmdiffseg.DepthMetric',
    min_depth=min_depth,
    max_depth=max_depth,
    crop='nyu',
    depth_scale_factor=1000,
)
test_evaluator = val_evaluator
