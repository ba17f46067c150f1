# CamVid at 240x180 whose classes flip to twins: road and pavement together, tree and car together.
# For independent flips put `probabilities=[8 / 17, 7 / 17, 6 / 17, 5 / 17, 4 / 17]` for `modes`.
dataset_type = 'mmdiffseg.CamVidFlipsDataset'
data_root = 'data/camvid'
crop_size = (180, 240)
flips = dict(
    type='mmdiffseg.FlipClasses',
    twins=[(4, 11), (9, 12), (8, 13), (5, 14), (3, 15)],
    modes=[(0.5, []), (0.3, [3, 4]), (0.2, [5, 8])],
)
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='mmdiffseg.CheckLabels', num_classes=11),
    dict(type='Resize', scale=(240, 180)),
    dict(type='mmdiffseg.ScoreAtInputSize'),
]
train_pipeline = [
    *load,
    flips,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    *load,
    dict(**flips, all_modes=True),
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
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmdiffseg.DistributionMetric',
    classes=[3, 4, 5, 8, 9, 11, 12, 13, 14, 15],
    empty='left_out',
)
test_evaluator = val_evaluator
