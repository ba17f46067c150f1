# BEV features that BEVFusion wrote, and the map of the surroundings of each, see docs/bev.md; the
# experiments say which features. The list for training repeats samples to balance the classes of
# objects (CBGS).
dataset_type = 'mmdiffseg.NuScenesMapDataset'
data_root = 'data/nuscenes_bev'
pipeline = [
    dict(type='mmdiffseg.LoadBEVFeature'),
    dict(type='mmdiffseg.LoadMapMasks', num_classes=6),
    dict(type='mmdiffseg.PackMapInputs'),
]
# stacked as they are: nothing is padded, features of another size stop the run
collate_fn = dict(type='default_collate')
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=collate_fn,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train_cbgs.txt',
        data_prefix=dict(img_path='features/train', seg_map_path='maps/train'),
        pipeline=pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=collate_fn,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='features/val', seg_map_path='maps/val'),
        pipeline=pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmdiffseg.MapIoUMetric')
test_evaluator = val_evaluator
