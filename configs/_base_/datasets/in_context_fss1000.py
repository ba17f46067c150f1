# FSS-1000, to test on only: each of the 10 images of 240 classes, prompted by another of its class
_base_ = './in_context.py'
labels = [dict(type='LoadAnnotations'), dict(type='mmdiffseg.SelectObject', threshold=128)]
val = dict(
    type='mmdiffseg.InContextDataset',
    dataset=dict(
        type='mmdiffseg.SegFolderDataset',
        data_root='data/fss1000',
        data_prefix=dict(img_path='', seg_map_path=''),
        ann_file='metas/test.txt',
    ),
    concept='folder',
    lists='metas/test.json',
    episodes='pairs',
    pipeline=[*_base_.load, *_base_.fit, *labels],
    prompt_pipeline=[*_base_.load, *labels, *_base_.fit],
    test_mode=True,
)
train_dataloader = None
val_dataloader = dict(dataset=val)
test_dataloader = val_dataloader
