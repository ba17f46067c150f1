# Window 12, started from window-7 ImageNet-1k weights: their bias tables are fitted at loading
_base_ = './ddp_swin-t_ade20k.py'
neck = _base_.model.neck
neck[0].in_channels = [128, 256, 512, 1024]
model = dict(
    backbone=dict(
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=12,
        pretrained='swin_base_patch4_window7_224.ms_in1k',
    ),
    neck=neck,
)
