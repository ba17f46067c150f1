# RefCOCOg, split by UMD or by Google, whose val shares its images with train
_base_ = './refer.py'
test_dataloader = dict(
    dataset=dict(ann_file='refcocog/instances.json', split_file='refcocog/refs(umd).p')
)
splits = {
    f'{author}-{name}': {
        'test_dataloader.dataset.split_file': f'refcocog/refs({author}).p',
        'test_dataloader.dataset.split': name,
    }
    for author, name in (('umd', 'val'), ('umd', 'test'), ('google', 'val'))
}
