# DDP on ConvNeXt-T
_base_ = './ddp.py'
model = dict(
    backbone=dict(
        type='mmdiffseg.ConvNeXt',
        arch='convnext_tiny',
        drop_path_rate=0.4,
        pretrained='convnext_tiny.fb_in1k',
    )
)
