# The depth head of DDP; ddp_depth_swin.py and ddp_depth_r18.py put it into a model
depth_head = dict(
    type='mmdiffseg.DDPDepthHead',
    in_channels=256,
    channels=256,
    min_depth=1e-3,
    label_encoder=dict(type='mmdiffseg.DepthEncoder', scale=0.1),
    noise_schedule=dict(type='mmdiffseg.CosineGamma'),
    diffusion_sampler=dict(type='mmdiffseg.DDIMSampler', time_difference=1),
    denoiser=dict(
        type='mmdiffseg.DeformableMapDecoder',
        num_layers=6,
        num_heads=8,
        num_points=4,
        feedforward_ratio=4,
        time_modulation=True,
    ),
    steps=3,
    generations=1,
    gt_downsample='bilinear',
    loss_decode=dict(type='mmdiffseg.SigLoss', loss_weight=1.0),
)
