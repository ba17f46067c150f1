# RefCOCOg, split of Google: val alone, whose images are also those of train
_base_ = './refcoco.py'
test_dataloader = dict(
    dataset=dict(ann_file='refcocog/instances.json', split_file='refcocog/refs(google).p')
)
