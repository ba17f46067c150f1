# PASCAL VOC 2012 with SBD's labels: 10582 images to train, 1449 to test
_base_ = './in_context.py'
source = dict(
    type='PascalVOCDataset',
    data_root='data/VOCdevkit/VOC2012',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
)
train_source = dict(source, ann_file='metas/train.txt')
val_source = dict(source, ann_file='metas/val.txt')
train = dict(
    type='mmdiffseg.InContextDataset',
    dataset=train_source,
    lists='metas/train.json',
    pipeline=_base_.train_pipeline,
)
# One class and one prompt of each image, as released; episodes='pairs' tests every class of it.
val = dict(
    type='mmdiffseg.InContextDataset',
    dataset=val_source,
    lists='metas/val.json',
    pipeline=_base_.test_pipeline,
    prompt_pipeline=_base_.prompt_pipeline,
    test_mode=True,
)
train_dataloader = dict(dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = val_dataloader
