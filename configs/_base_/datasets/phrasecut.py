# PhraseCut; its split miniv has 100 images
_base_ = './refer.py'
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
splits = {
    name: {'test_dataloader.dataset.ann_file': f'refer_{name}.json'}
    for name in ('val', 'test', 'miniv')
}
