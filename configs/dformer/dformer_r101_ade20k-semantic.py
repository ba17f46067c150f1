# Its yaml in the release, named after 90k iterations, rests on a file that is not there: this has
# the schedule of the other backbones.
_base_ = './dformer_r50_ade20k-semantic.py'
model = dict(backbone=dict(depth=101, pretrained='resnet101.tv_in1k'))
