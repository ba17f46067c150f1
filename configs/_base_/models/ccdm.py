# CCDM; the experiments set the channels and levels
model = dict(
    type='mmdiffseg.StochasticSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(type='mmdiffseg.IdentityBackbone'),
    decode_head=dict(
        type='mmdiffseg.CategoricalMapHead',
        noise_schedule=dict(
            type='mmdiffseg.UniformDiffusion',
            schedule=dict(type='mmdiffseg.CosineBetas', num_timesteps=250),
        ),
        diffusion_sampler=dict(type='mmdiffseg.CategoricalSampler'),
        denoiser=dict(type='mmdiffseg.CCDMUNet', num_res_blocks=2, num_head_channels=32),
        loss='kl',
        loss_reduction='sum',
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
