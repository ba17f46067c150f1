# The map head of DDP; ddp_map_features.py and ddp_map_r18.py put it into a model
map_head = dict(
    type='mmdiffseg.DDPMapHead',
    in_channels=256,
    channels=256,
    num_classes=6,
    label_encoder=dict(type='mmdiffseg.MultiLabelEncoder', scale=0.01),
    noise_schedule=dict(type='mmdiffseg.CosineLogSNR'),
    diffusion_sampler=dict(type='mmdiffseg.DDIMSampler', time_difference=1),
    denoiser=dict(
        type='mmdiffseg.BEVMapDecoder',
        num_layers=5,
        num_heads=8,
        num_points=4,
        feedforward_ratio=4,
        time_modulation=True,
    ),
    steps=3,
    generations=1,
    loss_decode=dict(type='mmdiffseg.MultiLabelFocalLoss', gamma=2.0, alpha=-1, loss_weight=1.0),
)
