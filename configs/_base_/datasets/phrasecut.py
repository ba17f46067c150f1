# PhraseCut: val, or test and miniv by ann_file
_base_ = './refcoco.py'
pipeline = _base_.pipeline
pipeline[1].type = 'mmdiffseg.LoadPolygonUnion'
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmdiffseg.PhraseCutDataset',
        data_root='data/VGPhraseCut_v0',
        ann_file='refer_val.json',
        subset='all',
        data_prefix=dict(img_path='images'),
        pipeline=pipeline,
    )
)
