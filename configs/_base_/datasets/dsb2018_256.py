# Nuclei of the Data Science Bowl 2018, of many sizes and stains: all there is to train on (`train`
# and `extra`, 521 images) in crops of 256; whole images for validation.
_base_ = './dsb2018_128.py'
crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.LoadBinaryMask'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='mmdiffseg.RandomRotateScale', degrees=(-22, 22), scale=(0.75, 1.5)),
    dict(type='mmdiffseg.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type=_base_.dataset_type,
                data_root=_base_.data_root,
                metainfo=_base_.metainfo,
                data_prefix=dict(img_path=f'images/{part}', seg_map_path=f'labels/{part}'),
                img_suffix='.png',
                pipeline=train_pipeline,
            )
            for part in ('train', 'extra')
        ],
    ),
)
