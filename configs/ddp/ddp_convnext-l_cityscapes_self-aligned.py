_base_ = './ddp_convnext-t_cityscapes_self-aligned.py'
neck = _base_.model.neck
neck[0].in_channels = [192, 384, 768, 1536]
model = dict(backbone=dict(arch='convnext_large'), neck=neck)
load_from = 'work_dirs/ddp_convnext-l_cityscapes/iter_160000.pth'
