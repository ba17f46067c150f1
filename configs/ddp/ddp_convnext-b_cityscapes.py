_base_ = './ddp_convnext-t_cityscapes.py'
neck = _base_.model.neck
neck[0].in_channels = [128, 256, 512, 1024]
model = dict(backbone=dict(arch='convnext_base', pretrained='convnext_base.fb_in1k'), neck=neck)
