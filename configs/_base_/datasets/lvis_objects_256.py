# One random instance of each LVIS picture, with a coarse mask made in training; tested like DIS-5K
_base_ = './dis5k_256.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdiffseg.DrawInstance', min_area=512),
    dict(type='mmdiffseg.LoadInstanceUnion'),
    # the instance may be of several regions: all of them are the mask
    dict(type='mmdiffseg.CropObject', size=256, context=(1.1, 1.4), sides=(48, 1000), alone=0.0),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        _delete_=True,
        type='mmdiffseg.InstanceMaskDataset',
        data_root='data/lvis',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img_path='train2017'),
        pipeline=train_pipeline,
    ),
)
