# PASCAL, COCO, DAVIS 2016 and VSPW together; validated on PASCAL.
# The weights are those of samples, as released: VSPW, the largest, is three draws of four. Weights
# of data sets: train_dataloader.sampler.mode=per_dataset
_base_ = './in_context_pascal.py'
video_source = dict(type='mmdiffseg.SegFolderDataset', ann_file='metas/train.txt')
video_crop = [*_base_.crop, *_base_.distort]
coco = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(
        type='mmdiffseg.COCO20iDataset',
        data_root='data/coco',
        ann_file='metas/train.txt',
        data_prefix=dict(img_path='train2014', seg_map_path='annotations/train2014'),
    ),
    lists='metas/train.json',
    pipeline=_base_.train_pipeline,
)
davis = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(
        video_source,
        data_root='data/davis16',
        data_prefix=dict(img_path='JPEGImages/480p', seg_map_path='Annotations/480p'),
    ),
    concept='folder',
    lists='metas/train.json',
    pipeline=[
        *_base_.load,
        dict(type='LoadAnnotations'),
        dict(type='mmdiffseg.SelectObject'),
        *video_crop,
    ],
)
vspw = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(
        video_source,
        data_root='data/vspw',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        metainfo=dict(classes=['others', *(f'class {i}' for i in range(1, 125))]),
    ),
    concept='folder_class',
    lists='metas/train.json',
    pipeline=[
        *_base_.load,
        dict(type='LoadAnnotations'),
        dict(type='mmdiffseg.SelectVideoClass'),
        *video_crop,
    ],
)
train_dataloader = dict(
    sampler=dict(
        _delete_=True, type='mmdiffseg.WeightedInfiniteSampler', weights=[0.4, 0.1, 0.5, 0.2]
    ),
    dataset=dict(
        _delete_=True,
        type='mmdiffseg.SeededDataset',
        dataset=dict(
            type='ConcatDataset',
            datasets=[_base_.train, coco, davis, vspw],
            ignore_keys=['concepts'],
        ),
    ),
)
