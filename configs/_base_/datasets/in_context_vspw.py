# VSPW, 480p: 124 classes, of which each frame is tested for those in the first
_base_ = './in_context.py'
source = dict(
    type='mmdiffseg.SegFolderDataset',
    data_root='data/vspw',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
    metainfo=dict(classes=['others', *(f'class {i}' for i in range(1, 125))]),
)
video_labels = [dict(type='LoadAnnotations'), dict(type='mmdiffseg.SelectVideoClass')]
query_labels = [
    dict(type='LoadAnnotations'),
    dict(type='mmdiffseg.SelectVideoClass', keep_labels=True),
]
video_train_pipeline = [*_base_.load, *video_labels, *_base_.crop, *_base_.distort]
train = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(source, ann_file='metas/train.txt'),
    concept='folder_class',
    lists='metas/train.json',
    pipeline=video_train_pipeline,
)
val = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(source, ann_file='metas/val.txt'),
    concept='folder_class',
    lists='metas/val.json',
    episodes='first_frame',
    pipeline=[*_base_.load, *_base_.fit, *query_labels],
    prompt_pipeline=[*_base_.load, *video_labels, *_base_.fit],
    test_mode=True,
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(sampler=dict(_delete_=True, type='mmdiffseg.WholeFrameSampler'), dataset=val)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mmdiffseg.VideoClassIoUMetric')
test_evaluator = val_evaluator
