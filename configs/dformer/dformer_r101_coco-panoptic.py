_base_ = './dformer_r50_coco-panoptic.py'
model = dict(backbone=dict(depth=101, pretrained='resnet101.tv_in1k'))
