# Nuclei for a CPU: the network of segdiff_shapes.py on crops of 32 pixels, at half resolution
_base_ = './segdiff_shapes.py'
dataset_type = 'mmdiffseg.BinarySegDataset'
data_root = 'data/dsb2018'
metainfo = dict(classes=('background', 'nucleus'))
half = dict(type='Resize', scale_factor=0.5, keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    half,
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    half,
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='PackSegInputs'),
]
dataset = dict(
    data_root=data_root,
    metainfo=metainfo,
    foreground=1,
    img_suffix='.png',
)
model = dict(test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=_base_.crop_size))
train_dataloader = dict(dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(**dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(val_interval=2000)  # sampling all images takes longer than the training
