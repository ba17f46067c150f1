# PhraseCut: val, or test and miniv by ann_file
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadPolygonUnion'),
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
        type='mmdiffseg.PhraseCutDataset',
        data_root='data/VGPhraseCut_v0',
        ann_file='refer_val.json',
        subset='all',
        data_prefix=dict(img_path='images'),
        pipeline=pipeline,
    ),
)
test_evaluator = dict(type='mmdiffseg.RefIoUMetric')
