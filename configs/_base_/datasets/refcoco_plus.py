# RefCOCO+, split by UNC: testA shows people, testB other things
_base_ = './refer.py'
test_dataloader = dict(
    dataset=dict(ann_file='refcoco+/instances.json', split_file='refcoco+/refs(unc).p')
)
splits = {name: {'test_dataloader.dataset.split': name} for name in ('val', 'testA', 'testB')}
