_base_ = './dformer_swin-t_ade20k-semantic.py'
crop_size = (640, 640)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        embed_dims=192,
        depths=(2, 2, 18, 2),
        num_heads=(6, 12, 24, 48),
        window_size=12,
        pretrained='swin_large_patch4_window12_384.ms_in22k',
    ),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
)
train_pipeline = _base_.train_pipeline
train_pipeline[3].scales = [(2560, int(64 * k)) for k in range(5, 21)]
train_pipeline[4].crop_size = crop_size
train_pipeline[7].size = crop_size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (2560, 640)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
