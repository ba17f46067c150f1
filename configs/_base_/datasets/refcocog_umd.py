# RefCOCOg, split of UMD: val, test
_base_ = './refcoco.py'
test_dataloader = dict(
    dataset=dict(ann_file='refcocog/instances.json', split_file='refcocog/refs(umd).p')
)
