_base_ = './ddp_convnext-t_cityscapes.py'
model = dict(
    backbone=dict(arch='convnext_small', drop_path_rate=0.3, pretrained='convnext_small.fb_in1k')
)
