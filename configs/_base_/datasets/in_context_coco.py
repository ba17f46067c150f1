# COCO 2014 with label maps of 80 classes: 82081 images to train, 40137 to test
_base_ = './in_context.py'
source = dict(type='mmdiffseg.COCO20iDataset', data_root='data/coco')
train_source = dict(
    source,
    ann_file='metas/train.txt',
    data_prefix=dict(img_path='train2014', seg_map_path='annotations/train2014'),
)
val_source = dict(
    source,
    ann_file='metas/val.txt',
    data_prefix=dict(img_path='val2014', seg_map_path='annotations/val2014'),
)
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
