# Objects of any kind, with coarse masks made while a refiner trains: nuclei (CC0), roads and solar
# panels (Japan PDL 1.0), floods (CC0) and generated Shapes. Crops of 96 pixels around one object,
# enlarged or shrunk. Tested on nuclei, with masks as somebody who clicks polygons would make them.
crop_size = (96, 96)
crop = [
    dict(type='mmdiffseg.CropObject', size=96, context=(1.2, 6.0), sides=(48, 320)),
    dict(type='mmdiffseg.DegradeMask', iou=(0.5, 1.0), untouched=0.15, bent=0.5),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PhotoMetricDistortion'),
    dict(type='mmdiffseg.PackRefineInputs'),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    *crop,
]
binary = dict(type='mmdiffseg.BinarySegDataset', seg_map_suffix='.png', pipeline=train_pipeline)
nuclei = dict(binary, data_root='data/dsb2018', img_suffix='.png')
aerial = dict(binary, img_suffix='.jpg')
datasets = [
    dict(nuclei, data_prefix=dict(img_path='images/train', seg_map_path='labels/train')),
    dict(nuclei, data_prefix=dict(img_path='images/extra', seg_map_path='labels/extra')),
    dict(
        aerial,
        data_root='data/gsi_road',
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
    ),
    dict(
        aerial,
        data_root='data/gsi_solar',
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
    ),
    dict(
        aerial,
        data_root='data/flood_area',
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
    ),
    dict(
        type='mmdiffseg.ShapesDataset',
        data_root='data/shapes',
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *crop],
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(
        type='mmdiffseg.WeightedInfiniteSampler',
        weights=[0.12, 0.33, 0.15, 0.1, 0.1, 0.2],
        mode='per_dataset',
    ),
    dataset=dict(
        type='mmdiffseg.SeededDataset',
        dataset=dict(type='ConcatDataset', datasets=datasets, ignore_keys=['classes', 'palette']),
    ),
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='mmdiffseg.ImitateSource', source='polygon'),
    dict(type='mmdiffseg.PackRefineInputs'),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        nuclei,
        metainfo=dict(classes=('background', 'object')),
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='mmdiffseg.BinaryMaskMetric'), dict(type='mmdiffseg.BoundaryMetric')]
test_evaluator = val_evaluator
