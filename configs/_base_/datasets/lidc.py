# 1 GPU x 16 images. Lung nodules by four radiologists, 128x128; augmented as in CCDM: flips and
# quarter turns, each of the eight equally often.
dataset_type = 'mmdiffseg.MultiRaterDataset'
data_root = 'data/lidc'
crop_size = (128, 128)
metainfo = dict(classes=('background', 'nodule'), palette=[[47, 50, 60], [243, 156, 18]])
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='mmdiffseg.DrawRater'),
    dict(type='RandomFlip', prob=0.5),
    # turns and then always flips, so the flip above is what makes turns without a flip
    dict(type='RandomRotFlip', rotate_prob=0.0, flip_prob=1.0),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='mmdiffseg.LoadRaters'),
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
        metainfo=metainfo,
        data_prefix=dict(img_path='images/train'),
        img_suffix='.png',
        raters='rater*/train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='images/val'),
        img_suffix='.png',
        raters='rater*/val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img_path='images/test'),
        img_suffix='.png',
        raters='rater*/test',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmdiffseg.DistributionMetric')
test_evaluator = val_evaluator
