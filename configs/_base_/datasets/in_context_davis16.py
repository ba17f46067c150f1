# DAVIS 2016, 480p: 30 videos to train, 20 to test, each frame prompted by the first
_base_ = './in_context.py'
source = dict(
    type='mmdiffseg.SegFolderDataset',
    data_root='data/davis16',
    data_prefix=dict(img_path='JPEGImages/480p', seg_map_path='Annotations/480p'),
)
video_labels = [dict(type='LoadAnnotations'), dict(type='mmdiffseg.SelectObject')]
video_train_pipeline = [*_base_.load, *video_labels, *_base_.crop, *_base_.distort]
train = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(source, ann_file='metas/train.txt'),
    concept='folder',
    lists='metas/train.json',
    pipeline=video_train_pipeline,
)
val = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(source, ann_file='metas/val.txt'),
    concept='folder',
    lists='metas/val.json',
    episodes='first_frame',
    pipeline=[*_base_.load, *_base_.fit, *video_labels],
    prompt_pipeline=[*_base_.load, *video_labels, *_base_.fit],
    test_mode=True,
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='mmdiffseg.DavisJFMetric')
test_evaluator = val_evaluator
