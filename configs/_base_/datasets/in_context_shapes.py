# Shapes of 64 pixels (demo/tiny_world/scripts/README.md); a concept is a shape of a colour. Tests
# ask for pairs that training never asks for: without only=..., for the others too.
load = [dict(type='LoadImageFromFile'), dict(type='mmdiffseg.LoadInstanceUnion')]
flip = [dict(type='RandomFlip', prob=0.5)]
data_root = 'data/shapes-64'
pack = dict(type='mmdiffseg.PackInContextInputs', stride=8)
train = dict(
    type='mmdiffseg.ShapesInContextDataset',
    dataset=dict(
        type='mmdiffseg.InstanceMaskDataset',
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img_path='images/train'),
    ),
    episode_file='fewshot/train.json',
    pipeline=[*load, *flip],
    pack=pack,
)
val = dict(
    type='mmdiffseg.ShapesInContextDataset',
    dataset=dict(
        type='mmdiffseg.InstanceMaskDataset',
        data_root=data_root,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img_path='images/val'),
    ),
    episode_file='fewshot/val.json',
    only=dict(held_out=True),
    pipeline=load,
    pack=pack,
    test_mode=True,
)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=train,
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=val,
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmdiffseg.InContextIoUMetric', over='seen')
test_evaluator = val_evaluator
