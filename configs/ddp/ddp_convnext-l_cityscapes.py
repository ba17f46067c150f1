_base_ = './ddp_convnext-t_cityscapes.py'
neck = _base_.model.neck
neck[0].in_channels = [192, 384, 768, 1536]
model = dict(backbone=dict(arch='convnext_large', pretrained='convnext_large.fb_in22k'), neck=neck)
