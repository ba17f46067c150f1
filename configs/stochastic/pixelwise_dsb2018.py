# The network of categorical_dsb2018.py without diffusion: a plain segmentation network of its size
_base_ = './categorical_dsb2018.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='mmdiffseg.PixelwiseHead',
        in_channels=(3, 16, 24, 40, 112),
        num_classes=2,
        denoiser=dict(type='mmdiffseg.FeatureMapUNet'),
        coupling=None,
        generations=1,
    ),
)
