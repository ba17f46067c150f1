# What the data sets of in-context segmentation share: pipelines for label maps of classes.
# Query and prompts are augmented independently of each other. 8 images per GPU, 2 GPUs.
size = 256
load = [dict(type='LoadImageFromFile')]
labels = [dict(type='LoadAnnotations'), dict(type='mmdiffseg.SelectClass')]
crop = [
    dict(type='RandomResize', scale=(2 * size, size), ratio_range=(0.9, 1.1), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(size, size), cat_max_ratio=0.75),
]
fit = [dict(type='Resize', scale=(size, size), keep_ratio=True)]
flip = [dict(type='RandomFlip', prob=0.5)]
distort = [dict(type='PhotoMetricDistortion')]
train_pipeline = [*load, *labels, *crop, *flip, *distort]
# The labels of a query are loaded after the resize: metrics are taken at the size of the original.
test_pipeline = [*load, *fit, *labels]
prompt_pipeline = [*load, *labels, *fit]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmdiffseg.InContextIoUMetric')
test_evaluator = val_evaluator
