# Eigen's split, cropped to 1216x352. File names repeat from drive to drive: sample_id tells them
# apart, and window says where the crop was. `--tta` averages the image and its mirror image, the
# authors' way to test.
dataset_type = 'mmdiffseg.KITTIDepthDataset'
data_root = 'data/kitti'
crop_size = (352, 704)
min_depth, max_depth = 1e-3, 80
meta_keys = (
    'img_path',
    'depth_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'sample_id',
    'window',
)
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadDepthAnnotation', depth_rescale_factor=1 / 256),
    dict(type='mmdiffseg.CheckDepth', max_depth=max_depth),
    dict(type='mmdiffseg.KBCrop'),
]
train_pipeline = [
    *load,
    dict(type='RandomRotate', prob=0.5, degree=2.5, pad_val=0, seg_pad_val=0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='mmdiffseg.ColorAug', prob=0.5, brightness_range=(0.9, 1.1)),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
test_pipeline = [*load, dict(type='PackSegInputs', meta_keys=meta_keys)]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ],
    ),
]
data_prefix = dict(img_path='input', depth_map_path='gt_depth')
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='kitti_eigen_train.txt',
        data_prefix=data_prefix,
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
        ann_file='kitti_eigen_test.txt',
        data_prefix=data_prefix,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmdiffseg.DepthMetric',
    min_depth=min_depth,
    max_depth=max_depth,
    crop='garg',
    depth_scale_factor=256,
)
test_evaluator = val_evaluator
