# Cityscapes at 512x256 whose classes flip to twins by themselves (Kohl et al., 2018): 32 modes.
# Their split: three of the training cities validate, `val` tests.
dataset_type = 'mmdiffseg.CityscapesFlipsDataset'
data_root = 'data/cityscapes'
crop_size = (256, 512)
val_cities = ('darmstadt', 'monchengladbach', 'ulm')
train_cities = (
    'aachen',
    'bochum',
    'bremen',
    'cologne',
    'dusseldorf',
    'erfurt',
    'hamburg',
    'hanover',
    'jena',
    'krefeld',
    'strasbourg',
    'stuttgart',
    'tubingen',
    'weimar',
    'zurich',
)
flips = dict(
    type='mmdiffseg.FlipClasses',
    twins=[(1, 19), (11, 20), (13, 21), (8, 22), (0, 23)],
    probabilities=[8 / 17, 7 / 17, 6 / 17, 5 / 17, 4 / 17],
)
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='mmdiffseg.CheckLabels', num_classes=19),
    dict(type='Resize', scale=(512, 256)),
    dict(type='mmdiffseg.ScoreAtInputSize'),
]
train_pipeline = [
    *load,
    flips,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    *load,
    dict(**flips, all_modes=True),
    dict(type='mmdiffseg.PackRaterInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        cities=train_cities,
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
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        cities=val_cities,
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
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(
    type='mmdiffseg.DistributionMetric',
    classes=[0, 1, 8, 11, 13, 19, 20, 21, 22, 23],
    empty='left_out',
)
test_evaluator = val_evaluator
