# A refiner that reads each crop once, by EfficientNet-Lite0, and then in each step the mask. Two
# times only: the coarse mask, then one half of whose pixels may show what the network says of it
_base_ = './lite0_features.py'
model = dict(
    type='mmdiffseg.MaskRefiner',
    data_preprocessor=dict(size=(96, 96)),
    decode_head=dict(
        type='mmdiffseg.MaskRefineHead',
        noise_schedule=dict(type='mmdiffseg.TwoStateDiffusion', num_timesteps=2, kept=0.5),
        # given masks are mostly right: a pixel changes only where the network is sure
        diffusion_sampler=dict(
            type='mmdiffseg.TwoStateSampler', spacing='trailing', mix=True, sure=0.95
        ),
        own_share=1.0,
        steps=1,
        max_batch=16,
    ),
    test_cfg=dict(mode='patches', size=256, min_area=16, islands=False),
)
