# Sentences about Shapes, generated with the options in demo/tiny_world/scripts/README.md
_base_ = './refer.py'
test_dataloader = dict(
    dataset=dict(
        data_root='data/shapes-64',
        ann_file='refs/instances.json',
        split_file='refs/refs(shapes).p',
        data_prefix=dict(img_path='images'),
    )
)
test_evaluator = dict(by_kind=True)
