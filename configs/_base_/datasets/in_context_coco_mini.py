# A few listed episodes over pictures of COCO, to test on only
size = 256
load = [dict(type='LoadImageFromFile')]
mask = [dict(type='mmdiffseg.LoadInstanceUnion')]
fit = [dict(type='Resize', scale=(size, size), keep_ratio=True)]
val = dict(
    type='mmdiffseg.CocoEpisodeDataset',
    dataset=dict(
        type='mmdiffseg.InstanceMaskDataset',
        data_root='data/coco_mini',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img_path='val2017'),
    ),
    episode_file='../fewshot/coco_mini_episodes.json',
    pipeline=[*load, *fit, *mask],
    prompt_pipeline=[*load, *mask, *fit],
    test_mode=True,
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=val,
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmdiffseg.InContextIoUMetric', over='seen')
test_evaluator = val_evaluator
