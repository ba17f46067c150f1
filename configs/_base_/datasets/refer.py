# Referring expressions in the files of REFER. A data set built on this one names its files
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadInstanceUnion'),
    dict(
        type='PackSegInputs',
        meta_keys=(
            *('img_path', 'ori_shape', 'img_shape', 'sample_id', 'ref_id', 'sentence_index'),
            *('text', 'texts', 'sent_id', 'sent_ids', 'kind', 'kinds'),
        ),
    ),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdiffseg.RefCOCODataset',
        data_root='data/refer',
        split='val',
        data_prefix=dict(img_path='images/mscoco/images/train2014'),
        pipeline=pipeline,
    ),
)
test_evaluator = dict(type='mmdiffseg.RefIoUMetric')
