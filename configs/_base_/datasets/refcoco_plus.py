# RefCOCO+, whose sentences may not say where: val, testA, testB
_base_ = './refcoco.py'
test_dataloader = dict(
    dataset=dict(ann_file='refcoco+/instances.json', split_file='refcoco+/refs(unc).p')
)
