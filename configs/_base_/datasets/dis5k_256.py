# DIS-5K and ThinObject-5K, binary masks in two folders each, with coarse masks made in training;
# tested on coarse masks in a folder of their own
crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='mmdiffseg.CropObject', size=256, context=(1.0, 2.0), sides=(256, 2560), alone=0.0),
    dict(type='mmdiffseg.DegradeMask', iou=(0.8, 0.8), reference='polygon'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdiffseg.PackRefineInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='mmdiffseg.LoadCoarseMask', folder='data/dis5k/coarse/val', foreground=255),
    dict(type='mmdiffseg.PackRefineInputs'),
]
binary = dict(
    type='mmdiffseg.BinarySegDataset', img_suffix='.jpg', seg_map_suffix='.png', foreground=255
)
train_prefix = dict(img_path='images/train', seg_map_path='labels/train')
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(binary, data_root=root, data_prefix=train_prefix, pipeline=train_pipeline)
            for root in ('data/dis5k', 'data/thin_object_5k')
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        binary,
        data_root='data/dis5k',
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='mmdiffseg.BinaryMaskMetric'), dict(type='mmdiffseg.BoundaryMetric')]
test_evaluator = val_evaluator
