# Zero-shot: test a model trained on NYU. Rooms deeper than 8 m count as 8 m deep. Another backbone
# is another _base_.
_base_ = './ddp_swin-l_nyu-depth.py'
meta_keys = (
    'img_path',
    'depth_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'sample_id',
)
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadDepthAnnotation'),
    dict(type='mmdiffseg.DecodeSUNRGBDDepth'),
    dict(type='mmdiffseg.CheckDepth', max_depth=_base_.max_depth),
]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ],
    ),
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmdiffseg.SUNRGBDDepthDataset',
        data_root='data/sun_rgbd',
        ann_file='sun_rgbd_test.txt',
        data_prefix=dict(img_path='', depth_map_path=''),
        pipeline=[*load, dict(type='PackSegInputs', meta_keys=meta_keys)],
    )
)
test_evaluator = dict(clip_depth=8)
