# Crops around objects, by the lists of tools/dataset_converters/cityscapes_instances.py; an
# experiment chooses the category in the three loaders. train_val chooses the checkpoint and val
# tests it (the paper does both on val). Each crop decodes its whole image, hence the many workers.
dataset_type = 'mmdiffseg.CityscapesInstanceDataset'
data_root = 'data/cityscapes'
crop_size = (128, 128)
# the usual ones, and what names a crop (many share an image), its place and its category
meta_keys = (
    'img_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
    'sample_id',
    'window',
    'image_class',
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.CropInstance'),
    dict(type='mmdiffseg.LoadInstanceMask'),
    dict(type='mmdiffseg.ResizeWithoutAntialias', scale=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmdiffseg.RandomRotateScale', degrees=(-22, 22), scale=(0.75, 1.25)),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
# The mask is loaded after the resize: metrics are taken at the size of the crop.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.CropInstance'),
    dict(type='mmdiffseg.ResizeWithoutAntialias', scale=crop_size),
    dict(type='mmdiffseg.LoadInstanceMask'),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
train_dataloader = dict(
    batch_size=15,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        class_name=None,
        expansion=(10, 20),
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit'),
        ann_file='instances/train/all_classes_instances.json',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        class_name=None,
        expansion=15,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit'),
        ann_file='instances/train_val/all_classes_instances.json',
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        class_name=None,
        expansion=15,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit'),
        ann_file='instances/val/all_classes_instances.json',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmdiffseg.BinaryMaskMetric')
test_evaluator = val_evaluator
