# Photographs through a network that knows shapes only: it runs, but its numbers mean nothing
_base_ = [
    '../_base_/models/ref_diff_tiny.py',
    '../_base_/datasets/coco_mini_refer.py',
    '../_base_/default_runtime.py',
    '../_base_/zero_shot.py',
]
